#include "bench/dlib_peer.h"

#include <cstdio>
#include <exception>
#include <vector>

#include <dlib/dnn.h>
#include <dlib/image_io.h>
#include <dlib/image_processing.h>
#include <dlib/image_processing/frontal_face_detector.h>

namespace {

using namespace dlib;

template <int N, int stride, typename SUBNET>
using two_convolutions = affine<con<N, 3, 3, 1, 1, relu<affine<con<N, 3, 3, stride, stride, SUBNET>>>>>;

template <int N, typename SUBNET>
using block = relu<add_prev1<two_convolutions<N, 1, tag1<SUBNET>>>>;

template <int N, typename SUBNET>
using block_down = relu<add_prev2<avg_pool<2, 2, 2, 2, skip1<tag2<two_convolutions<N, 2, tag1<SUBNET>>>>>>>;

template <typename SUBNET> using stage4 = block<32, block<32, block<32, SUBNET>>>;
template <typename SUBNET> using stage3 = block<64, block<64, block<64, block_down<64, SUBNET>>>>;
template <typename SUBNET> using stage2 = block<128, block<128, block_down<128, SUBNET>>>;
template <typename SUBNET> using stage1 = block<256, block<256, block_down<256, SUBNET>>>;
template <typename SUBNET> using stage0 = block_down<256, SUBNET>;

using network = loss_metric<fc_no_bias<128, avg_pool_everything<stage0<stage1<stage2<stage3<stage4<
    max_pool<3, 3, 2, 2, relu<affine<con<32, 7, 7, 2, 2, input_rgb_image_sized<150>>>>>>>>>>>>>;

struct file_bytes { const unsigned char *data; size_t size; };

struct face { size_t photograph; rectangle box; };

struct peer {
    network net;
    frontal_face_detector detector = get_frontal_face_detector();
    shape_predictor landmarks;
    std::vector<array2d<rgb_pixel>> photographs;
    std::vector<file_bytes> files;
    std::vector<face> faces;
    std::vector<matrix<rgb_pixel>> chips;
};

peer &the_peer()
{
    static peer p;
    return p;
}

template <typename IMAGE>
void fill(IMAGE &image, const uint8_t *rgb, int width, int height)
{
    image.set_size(height, width);
    image_view<IMAGE> view(image);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += 3)
            view[y][x] = rgb_pixel(rgb[0], rgb[1], rgb[2]);
}

}

int dlib_peer_open(const char *network_path, const char *landmarks)
{
    const char *path = network_path;

    try {
        deserialize(path) >> the_peer().net;
        path = landmarks;
        deserialize(path) >> the_peer().landmarks;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "bench: dlib cannot read %s: %s\n", path, e.what());
        return -1;
    }
    return 0;
}

void dlib_peer_add_photograph(const uint8_t *rgb, int width, int height, const uint8_t *file, size_t n)
{
    the_peer().photographs.emplace_back();
    fill(the_peer().photographs.back(), rgb, width, height);
    the_peer().files.push_back({file, n});
}

void dlib_peer_add_box(size_t photograph, dlib_peer_box b)
{
    the_peer().faces.push_back({photograph, rectangle(b.left, b.top, b.right, b.bottom)});
}

void dlib_peer_add_chip(const uint8_t *rgb, int side)
{
    the_peer().chips.emplace_back();
    fill(the_peer().chips.back(), rgb, side, side);
}

size_t dlib_peer_detect(size_t photograph, dlib_peer_box *boxes, size_t max)
{
    std::vector<rectangle> found = the_peer().detector(the_peer().photographs[photograph]);

    for (size_t i = 0; i < found.size() && i < max; i++)
        boxes[i] = {(int32_t)found[i].left(), (int32_t)found[i].top(), (int32_t)found[i].right(), (int32_t)found[i].bottom()};
    return found.size();
}

void dlib_peer_landmarks(int32_t *points)
{
    peer &p = the_peer();

    for (const face &f : p.faces) {
        full_object_detection shape = p.landmarks(p.photographs[f.photograph], f.box);

        for (unsigned long i = 0; i < shape.num_parts(); i++) {
            *points++ = (int32_t)shape.part(i).x();
            *points++ = (int32_t)shape.part(i).y();
        }
    }
}

static void write_codes(const std::vector<matrix<float, 0, 1>> &out, float *codes, size_t max)
{
    for (size_t i = 0; i < out.size() && i < max; i++)
        for (long k = 0; k < out[i].size(); k++)
            *codes++ = out[i](k);
}

void dlib_peer_encode(float *codes)
{
    peer &p = the_peer();

    write_codes(p.net(p.chips, DLIB_PEER_BATCH), codes, p.chips.size());
}

size_t dlib_peer_pipeline(float *codes, size_t max)
{
    peer &p = the_peer();
    std::vector<matrix<rgb_pixel>> chips;

    for (const file_bytes &f : p.files) {
        array2d<rgb_pixel> image;

        load_jpeg(image, f.data, f.size);
        for (const rectangle &box : p.detector(image)) {
            matrix<rgb_pixel> chip;

            extract_image_chip(image, get_face_chip_details(p.landmarks(image, box), 150, 0.25), chip);
            chips.push_back(std::move(chip));
        }
    }
    if (!chips.empty())
        write_codes(p.net(chips, DLIB_PEER_BATCH), codes, max);
    return chips.size();
}
