"""Rewriting: from message bytes and a policy to message bytes and the list of links. Pure."""

from clicktrail.rewrite.html.document import rewrite_html
from clicktrail.rewrite.message import Rewritten, rewrite_message
from clicktrail.rewrite.policy import LinkReport, Policy, policy_of

__all__ = ["LinkReport", "Policy", "Rewritten", "policy_of", "rewrite_html", "rewrite_message"]
