<?php
namespace Shop;

class Page { static function text() { return \Words\Greeting::TEXT . " " . ini_get("memory_limit"); } }
