"""Whole networks with random weights, and what ONNX Runtime makes of them.

    networks.py DIR    makes DIR/NAME/model.onnx, test_data_set_0/input_0.pb, output_0.pb

The light models of the onnx package have constants for weights; here they get
random ones.  Networks that it lacks are built below from their papers.
Weights are scaled so that numbers neither grow nor die out over the layers.
"""
import os
import shutil
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from export_cases import DATA, save

SEED = 20260901


class Builder:
    def __init__(self, name, shape, opset=13, seed=SEED):
        self.name, self.opset = name, opset
        self.random = numpy.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0
        self.input = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch"] + shape)

    def weight(self, array):
        self.count += 1
        name = f"w{self.count}"
        self.weights.append(numpy_helper.from_array(numpy.asarray(array), name))
        return name

    def add(self, op, inputs, **attributes):
        self.count += 1
        out = f"t{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=f"{op}_{self.count}", **attributes))
        return out

    def conv(self, x, cin, cout, k=3, stride=1, group=1, bias=False, pad=None):
        fan = cin // group * k * k
        w = self.random.normal(0, (2 / fan) ** 0.5, (cout, cin // group, k, k)).astype(numpy.float32)
        inputs = [x, self.weight(w)]
        if bias:
            inputs.append(self.weight(self.random.normal(0, 0.1, cout).astype(numpy.float32)))
        p = (k - 1) // 2 if pad is None else pad
        return self.add("Conv", inputs, kernel_shape=[k, k], strides=[stride] * 2, pads=[p] * 4, group=group)

    def norm(self, x, c):
        r = self.random
        parts = [r.uniform(0.5, 1, c), r.normal(0, 0.1, c), r.normal(0, 0.1, c), r.uniform(0.8, 1.2, c)]
        return self.add("BatchNormalization", [x] + [self.weight(p.astype(numpy.float32)) for p in parts], epsilon=1e-5)

    def act(self, x, kind, c=0):
        if kind == "relu6":
            return self.add("Clip", [x, self.weight(numpy.float32(0)), self.weight(numpy.float32(6))])
        if kind == "PRelu":
            return self.add("PRelu", [x, self.weight(self.random.uniform(0, 0.4, (c, 1, 1)).astype(numpy.float32))])
        return self.add(kind, [x]) if kind else x

    def block(self, x, cin, cout, k=3, stride=1, group=1, act="Relu"):
        return self.act(self.norm(self.conv(x, cin, cout, k, stride, group), cout), act, cout)

    def squeeze(self, x, c, r, gate="Sigmoid"):
        s = self.add("GlobalAveragePool", [x])
        s = self.act(self.conv(s, c, r, 1, bias=True), "Relu")
        s = self.act(self.conv(s, r, c, 1, bias=True), gate)
        return self.add("Mul", [x, s])

    def dense(self, x, n, m):
        w = self.random.normal(0, (1 / n) ** 0.5, (m, n)).astype(numpy.float32)
        b = self.random.normal(0, 0.1, m).astype(numpy.float32)
        return self.add("Gemm", [x, self.weight(w), self.weight(b)], transB=1)

    def model(self, out, width):
        self.nodes[-1].output[0] = "out"
        graph = helper.make_graph(self.nodes, self.name, [self.input],
                                  [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", width])], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def resnet50(squeeze=False):
    b = Builder("se_resnet50" if squeeze else "resnet50", [3, 224, 224])
    x = b.block("image", 3, 64, 7, 2)
    x = b.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    cin = 64
    for stage, (mid, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for i in range(blocks):
            stride = 2 if stage and i == 0 else 1
            y = b.block(b.block(x, cin, mid, 1), mid, mid, 3, stride)
            y = b.norm(b.conv(y, mid, 4 * mid, 1), 4 * mid)
            if squeeze:
                y = b.squeeze(y, 4 * mid, mid // 4)
            if i == 0:
                x = b.norm(b.conv(x, cin, 4 * mid, 1, stride), 4 * mid)
            x = b.act(b.add("Add", [y, x]), "Relu")
            cin = 4 * mid
    x = b.add("Flatten", [b.add("GlobalAveragePool", [x])])
    return b.model(b.dense(x, 2048, 1000), 1000)


def mobilenet_v2():
    b = Builder("mobilenet_v2", [3, 224, 224])
    x, cin = b.block("image", 3, 32, 3, 2, act="relu6"), 32
    for t, c, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                       (6, 320, 1, 1)]:
        for i in range(n):
            stride, mid, y = s if i == 0 else 1, cin * t, x
            if t > 1:
                y = b.block(y, cin, mid, 1, act="relu6")
            y = b.block(y, mid, mid, 3, stride, mid, act="relu6")
            y = b.norm(b.conv(y, mid, c, 1), c)
            x = b.add("Add", [x, y]) if stride == 1 and cin == c else y
            cin = c
    x = b.block(x, cin, 1280, 1, act="relu6")
    x = b.add("ReduceMean", [x], axes=[2, 3], keepdims=0)
    return b.model(b.dense(x, 1280, 1000), 1000)


def mobilenet_v3():
    b = Builder("mobilenet_v3_small", [3, 224, 224], opset=14)
    x, cin = b.block("image", 3, 16, 3, 2, act="HardSwish"), 16
    for k, mid, c, se, act, s in [(3, 16, 16, True, "Relu", 2), (3, 72, 24, False, "Relu", 2),
                                  (3, 88, 24, False, "Relu", 1), (5, 96, 40, True, "HardSwish", 2),
                                  (5, 240, 40, True, "HardSwish", 1), (5, 120, 48, True, "HardSwish", 1),
                                  (5, 288, 96, True, "HardSwish", 2), (5, 576, 96, True, "HardSwish", 1)]:
        y = b.block(x, cin, mid, 1, act=act)
        y = b.block(y, mid, mid, k, s, mid, act=act)
        if se:
            y = b.squeeze(y, mid, max(8, mid // 4 // 8 * 8), "HardSigmoid")
        y = b.norm(b.conv(y, mid, c, 1), c)
        x = b.add("Add", [x, y]) if s == 1 and cin == c else y
        cin = c
    x = b.block(x, cin, 576, 1, act="HardSwish")
    x = b.add("Flatten", [b.add("GlobalAveragePool", [x])])
    x = b.act(b.dense(x, 576, 1024), "HardSwish")
    return b.model(b.dense(x, 1024, 1000), 1000)


def iresnet18():
    """ArcFace's: batch norm first, PReLU, flatten and a dense layer with a norm."""
    b = Builder("iresnet18", [3, 112, 112], opset=11)
    x = b.block("image", 3, 64, 3, act="PRelu")
    cin = 64
    for c in (64, 128, 256, 512):
        for i in range(2):
            stride = 2 if i == 0 else 1
            y = b.block(b.norm(x, cin), cin, c, 3, act="PRelu")
            y = b.norm(b.conv(y, c, c, 3, stride), c)
            if i == 0:
                x = b.norm(b.conv(x, cin, c, 1, stride), c)
            x = b.add("Add", [y, x])
            cin = c
    x = b.add("Flatten", [b.add("Dropout", [b.norm(x, cin)])])
    return b.model(b.norm(b.dense(x, 512 * 49, 512), 512), 512)


def xception_part():
    b = Builder("xception_part", [3, 149, 149])
    x = b.block(b.block("image", 3, 32, 3, 2), 32, 64)
    cin = 64
    for c in (128, 256, 728):
        y = x
        for k, (i, o) in enumerate([(cin, c), (c, c)]):
            y = b.act(y, "Relu") if k else y
            y = b.norm(b.conv(b.conv(y, i, i, 3, 1, i), i, o, 1), o)
        y = b.add("MaxPool", [y], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        x = b.add("Add", [y, b.norm(b.conv(x, cin, c, 1, 2), c)])
        cin = c
    x = b.add("Flatten", [b.add("GlobalAveragePool", [x])])
    return b.model(b.dense(x, cin, 100), 100)


def deep_gestalt():
    """Gurovich et al. 2019: 100 x 100 grey, ten convolutions, pooling, a dense layer."""
    b = Builder("deep_gestalt", [1, 100, 100])
    x, cin = "image", 1
    for i, (c, d) in enumerate([(32, 64), (64, 128), (96, 192), (128, 256), (160, 320)]):
        x = b.block(b.block(x, cin, c), c, d)
        cin = d
        if i < 4:
            x = b.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = b.add("AveragePool", [x], kernel_shape=[6, 6], strides=[6, 6])
    x = b.dense(b.add("Flatten", [x]), 320, 216)
    return b.model(b.add("Softmax", [x], axis=1), 216)


def randomised(path, seed):
    """A light model with random weights; what its constants feed says which kind of number they are.

    Without its softmax, which makes a single one of large numbers and so hides how they differ."""
    model, random = onnx.load(path), numpy.random.default_rng(seed)
    shapes = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    roles = {}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            roles.setdefault(name, (node.op_type, i))
    kept, made = [], []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = [int(d) for d in shapes[node.input[0]]]
        op, place = roles[node.output[0]]
        if op == "BatchNormalization" and place in (1, 4):
            w = random.uniform(0.5, 1.2, shape)
        elif len(shape) == 4 and shape[2:] != [1, 1] or op in ("Conv", "Gemm") and place == 1:
            fan = int(numpy.prod(shape[1:])) if op == "Conv" else shape[1]
            w = random.normal(0, (2 / fan) ** 0.5, shape)
        elif op == "Unsqueeze":
            w = random.uniform(0.7, 1, shape)
        else:
            w = random.normal(0, 0.1, shape)
        made.append(numpy_helper.from_array(w.astype(numpy.float32), node.output[0]))
    softmax = [node for node in kept if node.op_type == "Softmax"]
    for node in softmax:
        kept.remove(node)
        model.graph.output[0].name = node.input[0]
        model.graph.output[0].type.tensor_type.ClearField("shape")
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(made)
    return model


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def networks():
    for name in sorted(os.listdir(os.path.join(DATA, "light"))):
        if name.endswith(".onnx"):
            yield "random_" + name[: -len(".onnx")], randomised(os.path.join(DATA, "light", name), SEED)
    for build in (resnet50, mobilenet_v2, mobilenet_v3, iresnet18, xception_part, deep_gestalt):
        yield build.__name__, build()
    yield "se_resnet50", resnet50(True)


def image(s, batch):
    shape = [batch if not isinstance(d, int) else d for d in s.get_inputs()[0].shape]
    return numpy.random.default_rng(SEED + 1).uniform(-1, 1, shape).astype(numpy.float32)


def main():
    to = sys.argv[1]
    shutil.rmtree(to, ignore_errors=True)
    for name, model in networks():
        s = session(model)
        x = image(s, 2)
        y = s.run(None, {s.get_inputs()[0].name: x})
        save(os.path.join(to, name), model, [numpy_helper.from_array(x)], [numpy_helper.from_array(v) for v in y])


if __name__ == "__main__":
    main()
