<?php
namespace Words;

class Greeting { const TEXT = "Hello from a package"; }
