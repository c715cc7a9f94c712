import pytest
from engine.steps import STEPS, program_of

from riverrun.engine.program import OPERATIONS, Node, pruned
from riverrun.errors import UsageError


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("minimal", []),
        ("elman", [("h",)]),
        ("lstm", [("i", "f", "o", "g")]),
        ("gru", [("r", "z"), ("n",)]),
        ("gru_after", [("r", "z", "n")]),
        ("multiplicative", [("m",), ("i", "f", "g", "o")]),
        ("three_products", [("a",), ("b",), ("c",)]),
        ("jordan", [("h",), ("y",)]),
    ],
)
def test_products_with_one_operand_are_one_group_in_the_order_of_their_stages(name, stages):
    program = program_of(name)
    found = [tuple(program.nodes[m].key for m in group.members) for group in program.groups]
    assert [set(keys) for keys in found] == [set(keys) for keys in stages]
    assert [group.stage for group in program.groups] == list(range(len(stages)))


def test_shapes_come_from_sizes_and_a_missing_size_is_named():
    program = program_of("jordan")
    assert program.resolve({"H": 3, "O": 2, "I": 5})["U.y"] == (2, 3)
    with pytest.raises(UsageError, match="expected a number for O"):
        program.resolve({"H": 3, "I": 5})


@pytest.mark.parametrize("name", STEPS)
def test_two_traces_of_a_step_are_equal_and_hash_alike(name):
    first, second = program_of(name), program_of(name)
    assert first == second
    assert hash(first) == hash(second)
    assert first is not second


def test_programs_of_different_steps_differ():
    assert len({program_of(name) for name in STEPS}) == len(STEPS)


@pytest.mark.parametrize("name", STEPS)
def test_every_node_reads_only_nodes_before_it_and_every_operation_is_in_the_list(name):
    for index, node in enumerate(program_of(name).nodes):
        assert all(i < index for i in node.inputs)
        assert node.op in OPERATIONS


def test_pruning_drops_what_nothing_reads_and_the_names_of_it():
    nodes = [Node("state", key="h"), Node("tanh", (0,)), Node("sigmoid", (0,)), Node("neg", (2,))]
    kept, outputs, names = pruned(nodes, (3,), [("dead", 1), ("gate", 2)])
    assert [node.op for node in kept] == ["state", "sigmoid", "neg"]
    assert outputs == (2,)
    assert names == (("gate", 1),)
