from tests.hooks.mailman.bed import Bed

def test_it(bed: Bed) -> None:
    bed.create_list(["b@dane-ee.test", "c@no-keyword.test"])
    from tests.hooks.mailman.bed import POST
    bed.post(POST, "REQUIRETLS")
    bed.run()
    print(bed.delivered("dane-ee.test"))
    print(bed.delivered("no-keyword.test"))
    for m in bed.delivered("sender.test"): print(m.recipients, m.content.decode())
    assert 0
