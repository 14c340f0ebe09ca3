"""Reports for people outside: one document of headings, sentences, tables and charts, written as PDF or HTML."""
