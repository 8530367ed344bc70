"""mtcute: the whole way, with a fake-TLS greeting of today and the newer RSA padding of the key exchange."""

import pytest

from support import mtcute
from support.teleferry import KINDS

# mtcute drops a leading zero byte of the shared key, which one key in 256 has; it then asks for another key itself.
OWN_FAULT = "Step 4: invalid nonce hash"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dc", [2, 5])
def test_session(proxy, simulator, kind, dc):
    seen = mtcute.run(proxy.link(kind), simulator.public_key_pem, dc=dc)
    assert (seen.get("kind"), seen.get("thisDc")) == ("config", dc), seen
    assert all(OWN_FAULT in complaint for complaint in seen["complaints"]), seen
