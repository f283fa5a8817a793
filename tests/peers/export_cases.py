"""Writes ONNX's own backend tests as folders: model.onnx, test_data_set_0/input_N.pb, output_N.pb.

    export_cases.py DIR    makes DIR/node, DIR/fixed, DIR/light, DIR/converted, DIR/operator, DIR/simple

Node cases are made by the onnx package itself; light models come with outputs
for an input that its runner computes; the others are copied.
"""
import os
import shutil
import sys
import warnings

import numpy
import onnx
from onnx import numpy_helper

warnings.simplefilter("ignore")
DATA = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")


def save(folder, model, inputs, outputs):
    sets = os.path.join(folder, "test_data_set_0")
    os.makedirs(sets, exist_ok=True)
    with open(os.path.join(folder, "model.onnx"), "wb") as f:
        f.write(model.SerializeToString())
    for what, values in (("input", inputs), ("output", outputs)):
        for i, v in enumerate(values):
            with open(os.path.join(sets, f"{what}_{i}.pb"), "wb") as f:
                f.write(v.SerializeToString())


def is_tensors(values):
    return all(isinstance(v, (numpy.ndarray, numpy.generic, onnx.TensorProto)) for v in values)


def tensors(values):
    return [v if isinstance(v, onnx.TensorProto) else numpy_helper.from_array(numpy.asarray(v)) for v in values]


def fixed(model, inputs):
    """The same model with all inputs but the first as initializers, as networks have weights and lists."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for port, value in list(zip(model.graph.input, inputs))[1:]:
        value = onnx.TensorProto.FromString(value.SerializeToString())
        value.name = port.name
        copy.graph.initializer.append(value)
    del copy.graph.input[1:]
    return copy


def node_cases(to, to_fixed):
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        inputs, outputs = case.data_sets[0]
        if not is_tensors(inputs) or not is_tensors(outputs):
            continue
        inputs, outputs = tensors(inputs), tensors(outputs)
        save(os.path.join(to, case.name), case.model, inputs, outputs)
        if len(inputs) > 1:
            save(os.path.join(to_fixed, case.name), fixed(case.model, inputs), inputs[:1], outputs)


def light_cases(to):
    folder = os.path.join(DATA, "light")
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".onnx"):
            continue
        model = onnx.load(os.path.join(folder, name))
        known = {i.name for i in model.graph.initializer}
        inputs = []
        for port in model.graph.input:
            if port.name in known:
                continue
            shape = [d.dim_value for d in port.type.tensor_type.shape.dim]
            size = int(numpy.prod(shape))
            # what onnx.backend.test.runner feeds the light models with
            data = (numpy.arange(size).reshape(shape) / size).astype(numpy.float32)
            inputs.append(numpy_helper.from_array(data, port.name))
        with open(os.path.join(folder, name[: -len(".onnx")] + "_output_0.pb"), "rb") as f:
            output = onnx.TensorProto.FromString(f.read())
        save(os.path.join(to, name[: -len(".onnx")]), model, inputs, [output])


def main():
    to = sys.argv[1]
    shutil.rmtree(to, ignore_errors=True)
    node_cases(os.path.join(to, "node"), os.path.join(to, "fixed"))
    light_cases(os.path.join(to, "light"))
    for kind in ("pytorch-converted", "pytorch-operator", "simple"):
        shutil.copytree(os.path.join(DATA, kind), os.path.join(to, kind.replace("pytorch-", "")))


if __name__ == "__main__":
    main()
