"""Clicktrail: self-hosted click tracking for email. This is the map of the house.

An email comes in (`ingress`), its links are replaced (`rewrite`) by sealed ones (`keys`) as its
configuration set has it (`rules`), it is kept (`store`) and sent on (`relay`). A click comes in
(`redirect`), is logged (`journal`), and then counted and told to others (`publish`); people see it
all in the `console`. `service` builds a role of each and runs them, `commands` are what people
type, `api` is what other programs import.

`base`, `model` and `errors` are for all; `settings`, `keys`, `headers` and `doors` for who needs
them. Imports go one way: docs/flow.md has the table.
"""

__version__ = "0.1.0"
