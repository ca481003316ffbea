"""Clicktrail: self-hosted click tracking for email. This is the map of the house.

A message comes in (`ingress`), its links are replaced (`rewrite`, `token`), it is kept (`store`)
and sent on (`relay`). A click comes in (`redirect`), is logged (`journal`), and then counted and
told to others (`publish`). `wiring` builds the parts, `cli` runs them, `monitor` tells how they do.

Imports go one way: base (`model errors settings token keyfile vault ids batch metrics hostname
probe`) ← `rewrite`, `journal`, `store` ← `ingress relay redirect publish` ← `wiring`, `monitor`,
`cli`.
"""

__version__ = "0.1.0"
