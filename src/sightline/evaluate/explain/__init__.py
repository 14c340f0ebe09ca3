"""Why a part got its verdict: heat, the nearest good patch, class maps, contributions, and a sentence. No torch."""
