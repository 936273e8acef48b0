"""One module per noun; loaded only when one of its commands is called."""
