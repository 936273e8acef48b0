"""Scheduling as a function: `plan(snapshot, now) -> Plan`. No I/O, no clock, no database."""
