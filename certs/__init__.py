"""The CA of a deployment: making it, bundling it, and which runtime trusts it through what. Knows nothing of flows."""
