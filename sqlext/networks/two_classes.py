"""A network with one output as a classifier of two classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlext.networks.network import Network, described
from sqlext.networks.wiring import free_name


def with_two_classes(network: Network, *, logit: bool) -> Network:
    """The network with its one output p as the scores of two classes, (1 - p, p).

    :param logit: the output is the logit of p, so Sigmoid comes first.
    """
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    graph, output = model.graph, str(network.scores_name)
    names = {
        part: free_name(graph, f"{output}_{part}")
        for part in ("sigmoid", "minus_one", "one", "negative", "first", "both")
    }
    second = names["sigmoid"] if logit else output
    if logit:
        graph.node.append(helper.make_node("Sigmoid", [output], [second], name=second))
    for operator, inputs, name in (
        ("Mul", [second, names["minus_one"]], names["negative"]),
        ("Add", [names["negative"], names["one"]], names["first"]),
    ):
        graph.node.append(helper.make_node(operator, inputs, [name], name=name))
    both = names["both"]
    graph.node.append(helper.make_node("Concat", [names["first"], second], [both], name=both, axis=1))
    for part, value in (("minus_one", -1), ("one", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.float32), names[part]))
    graph.output[1].CopyFrom(helper.make_tensor_value_info(both, TensorProto.FLOAT, ["N", 2]))
    helper.set_model_props(model, {"scores_kind": "probabilities"})
    return replace(described(model, "probabilities"), input_spec=network.input_spec)
