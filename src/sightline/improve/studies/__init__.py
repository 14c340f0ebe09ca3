"""Studies as auditors accept them: what people and machines can do, by the published methods and with bounds."""
