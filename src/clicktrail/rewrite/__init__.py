"""Rewriting: from message bytes and a policy to message bytes and the list of links. Pure."""

from clicktrail.rewrite.html.document import LinkReport, Policy, rewrite_html
from clicktrail.rewrite.message import Rewritten, rewrite_message

__all__ = ["LinkReport", "Policy", "Rewritten", "rewrite_html", "rewrite_message"]
