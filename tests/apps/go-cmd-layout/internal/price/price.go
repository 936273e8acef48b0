package price

const Text = "42 crowns"
