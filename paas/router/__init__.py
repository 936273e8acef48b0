"""The router: keeps a local HAProxy equal to the route table. In: whole tables. Out: traffic, reports, access lines."""
