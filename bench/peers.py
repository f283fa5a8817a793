"""Peers that are Python packages, for bench/bench.c: they wait for its turns.

    peers.py FOLDER

FOLDER has weights.f32 (the encoder's, norms folded into them: of each convolution f32 [out][in][side][side] and
[out], then [256][128]), chips.u8 ([16][150][150][3]) and photos/.  Written there: encoder.onnx, resnet50.onnx,
mobilenet_v2.onnx, and TASK.f32, what a task gave when it first ran.

Says "task NAME PEER" for each task that it can do, "absent NAME REASON" for others, then "ready".  After that a line
"NAME TIMES" lets it do a task so often; the answer is milliseconds of processor time for one.
"""
import os
import sys
import time

import numpy

CHIPS, SIDE, OPSET = 16, 150, 13
SEVERAL = 8     # pictures at once of networks that are not the encoder
# channels and blocks of the encoder's stages; all but the first halve the picture in their first block
STAGES = [(32, 3), (64, 4), (128, 3), (256, 3), (256, 1)]


class Encoder:
    """The encoder's graph, as dlib computes it: what an addition lacks, in pixels or in channels, is 0."""

    def __init__(self, weights):
        from onnx import helper, numpy_helper
        self.helper, self.tensor = helper, numpy_helper.from_array
        self.left, self.nodes, self.weights = weights, [], []

    def constant(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(self.tensor(numpy.ascontiguousarray(array), name))
        return name

    def take(self, *shape):
        size = int(numpy.prod(shape))
        array, self.left = self.left[:size].reshape(shape), self.left[size:]
        return self.constant(array)

    def add(self, op, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(op, inputs, [name], **attributes))
        return name

    def conv(self, x, cin, cout, side, stride, pad):
        return self.add("Conv", x, self.take(cout, cin, side, side), self.take(cout), kernel_shape=[side] * 2,
                        strides=[stride] * 2, pads=[pad] * 4)

    def pad(self, x, *after):
        return self.add("Pad", x, self.constant(numpy.array([0] * 4 + list(after), numpy.int64))) if any(after) else x

    def block(self, x, size, cin, cout, down):
        half = size // 2 if down else size
        y = self.add("Relu", self.conv(x, cin, cout, 3, 2 if down else 1, 0 if down else 1))
        y = self.conv(y, cout, cout, 3, 1, 1)
        if down:
            x = self.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            x = self.pad(x, 0, cout - cin, 0, 0)
            lack = half - (size - 3) // 2 - 1
            y = self.pad(y, 0, 0, lack, lack)
        return self.add("Relu", self.add("Add", y, x)), half

    def model(self):
        from onnx import TensorProto
        x = self.add("Relu", self.conv("chips", 3, 32, 7, 2, 0))
        x, size, cin = self.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2]), 35, 32
        for stage, (c, blocks) in enumerate(STAGES):
            for i in range(blocks):
                x, size = self.block(x, size, cin, c, stage > 0 and i == 0)
                cin = c
        x = self.add("Flatten", self.add("GlobalAveragePool", x))
        self.add("MatMul", x, self.take(256, 128))
        self.nodes[-1].output[0] = "codes"
        port = self.helper.make_tensor_value_info
        graph = self.helper.make_graph(self.nodes, "encoder", [port("chips", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
                                       [port("codes", TensorProto.FLOAT, ["batch", 128])], self.weights)
        return self.helper.make_model(graph, opset_imports=[self.helper.make_opsetid("", OPSET)], ir_version=8)


def session(model):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    s = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: s.run(None, {s.get_inputs()[0].name: x})[0]


def saved(folder, name, model):
    with open(os.path.join(folder, name + ".onnx"), "wb") as f:
        f.write(model.SerializeToString())
    return session(model)


def runtime_tasks(folder):
    """Chips are float and in the runtime's order already, so that turning them into it is not held against it."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "peers"))
    import networks
    weights = numpy.fromfile(os.path.join(folder, "weights.f32"), numpy.float32)
    mean, weights = weights[:3], weights[3:]
    chips = numpy.fromfile(os.path.join(folder, "chips.u8"), numpy.uint8).reshape(CHIPS, SIDE, SIDE, 3)
    x = numpy.ascontiguousarray(((chips - mean) / 256).transpose(0, 3, 1, 2), numpy.float32)
    encode = saved(folder, "encoder", Encoder(weights).model())
    tasks = {"encoder16": lambda: encode(x), "encoder1": lambda: encode(x[:1])}
    pictures = numpy.arange(SEVERAL * 3 * 224 * 224, dtype=numpy.int64) * 7919 % 2000
    pictures = (pictures.astype(numpy.float32) / 1000 - 1).reshape(SEVERAL, 3, 224, 224)
    for build in (networks.resnet50, networks.mobilenet_v2):
        run = saved(folder, build.__name__, build())
        tasks[build.__name__] = lambda run=run: run(pictures)
    return tasks


def recognition_tasks(folder):
    """68 landmarks, no doubling: the same work, photograph by photograph as the package's users do it."""
    import face_recognition
    photos = os.path.join(folder, "photos")
    paths = [os.path.join(photos, name) for name in sorted(os.listdir(photos))]

    def run():
        codes = []
        for path in paths:
            image = face_recognition.load_image_file(path)
            places = face_recognition.face_locations(image, number_of_times_to_upsample=0)
            codes += face_recognition.face_encodings(image, places, model="large")
        return numpy.array(codes, numpy.float32)

    return {"face_recognition": run}


def offer(names, make, *versions):
    try:
        tasks = make()
        label = ", ".join(f"{v} {__import__(v).__version__}" for v in versions)
    except Exception as e:      # whatever it is, the peer is not there
        for name in names:
            print("absent", name, " ".join(f"{type(e).__name__}: {e}".split())[:120])
        return {}
    for name in names:
        print("task", name, label)
    return tasks


def timed(run, times):
    start = time.process_time()
    for _ in range(times):
        result = run()
    return (time.process_time() - start) * 1e3 / times, result


def main():
    folder = sys.argv[1]
    tasks = offer(["encoder16", "encoder1", "resnet50", "mobilenet_v2"], lambda: runtime_tasks(folder), "onnxruntime")
    tasks.update(offer(["face_recognition"], lambda: recognition_tasks(folder), "face_recognition", "dlib"))
    print("ready", flush=True)
    for line in sys.stdin:
        name, times = line.split()
        ms, result = timed(tasks[name], int(times))
        path = os.path.join(folder, name + ".f32")
        if not os.path.exists(path):
            result.astype(numpy.float32).tofile(path)
        print(f"{ms:.6f}", flush=True)


main()
