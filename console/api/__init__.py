"""The REST API: one table of routes, from which both the URLs and the OpenAPI document are made."""
