"""A machine that joined a platform as a host: how it gets in, and what runs there. Never imports the controller."""
