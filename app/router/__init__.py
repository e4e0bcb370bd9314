"""The traffic router: serves training and A/B rows of each spec, with drift that its users control."""
