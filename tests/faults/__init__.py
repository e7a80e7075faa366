"""The fault battery: what users meet, each with a control."""
