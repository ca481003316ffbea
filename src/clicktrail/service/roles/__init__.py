"""The roles, one module each: it imports what the role needs, checks its settings and builds it.

Loading a role is importing its module: a process loads its own roles and no others.
"""
