from riverrun.engine.builder import Builder


def test_equal_nodes_are_one():
    build = Builder()
    h = build.leaf("state", "h", "P")
    assert build.add("tanh", h) == build.add("tanh", h)
    assert build.nodes[build.add("tanh", h)].width == "P"


def test_a_sum_subtracts_what_is_negated():
    build = Builder()
    a, b, c = (build.leaf("x", key, "H") for key in "abc")
    total = build.total([build.add("neg", a), b, build.add("neg", c)])
    assert [build.nodes[i].op for i in (total, build.nodes[total].inputs[0])] == ["sub", "sub"]
    assert build.nodes[build.total([build.add("neg", a), build.add("neg", b)])].op == "neg"


def test_a_product_draws_its_sign_out_and_leaves_ones_away():
    build = Builder()
    a, b = (build.leaf("x", key, "H") for key in "ab")
    assert build.nodes[build.times(build.add("neg", a), b)].op == "neg"
    assert build.times(build.const(1.0), b) == b
    assert build.times(a, build.const(1.0)) == a
