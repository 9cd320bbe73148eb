"""Shows the whole road: a shopper walks through the shop, and the sandbox receives the events."""
