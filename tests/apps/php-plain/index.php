<?php
echo "Hello from PHP on ", $_SERVER["SERVER_SOFTWARE"], " ", $_SERVER["REQUEST_URI"], " ", $_GET["q"] ?? "-";
