// SPDX-License-Identifier: Apache-2.0
// Files of Posterior::load() with right checksums and wrong content: what a stranger might send.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ivon/posterior/posterior.hpp"
#include "posterior_files.hpp"
#include "support.hpp"

namespace {

using ivon::Posterior;
using ivon_test::FileFolder;
using ivon_test::reason;
using torch::Tensor;

// Writes a file with any content.
class ForgedFile {
 public:
  explicit ForgedFile(const std::string& file)
      : out_(file), writer_([this](const void* data, size_t size) {
          out_.write(data, size);
          return size;
        }) {}
  void write(const c10::IValue& content, size_t shorter = 0) {
    std::string pickle;
    torch::jit::Pickler pickler([&](const char* data, size_t size) { pickle.append(data, size); },
                                nullptr, nullptr, nullptr, nullptr, false);
    pickler.protocol();
    pickler.pushIValue(content);
    pickler.stop();
    writer_.writeRecord("data.pkl", pickle.data(), pickle.size());
    size_t number = 0;
    for (const Tensor& tensor : pickler.tensorData()) {
      writer_.writeRecord("data/" + std::to_string(number++), tensor.storage().data(),
                          tensor.storage().nbytes() - shorter);
    }
    writer_.writeEndOfFile();
    EXPECT_EQ(out_.commit(), "");
  }

 private:
  ivon::detail::AtomicFile out_;
  caffe2::serialize::PyTorchStreamWriter writer_;
};

c10::impl::GenericDict forged_content() {
  return ivon::detail::dictionary_of({{{"w", torch::ones({64}), torch::ones({64})}}, {}, {}});
}

TEST(ForgedPosterior, HasWrongContent) {
  const FileFolder folder;
  const std::string file = folder / "q.pt";
  const auto with = [&](const char* key, const c10::IValue& value) {
    auto content = forged_content();
    content.insert_or_assign(key, value);
    ForgedFile(file).write(content);
    return reason(file);
  };
  ForgedFile(file).write(forged_content());
  EXPECT_EQ(Posterior::load(file).names(), std::vector<std::string>{"w"});
  ForgedFile(file).write(forged_content(), /*shorter=*/4);
  EXPECT_EQ(reason(file), "'w' is larger than its data");
  EXPECT_EQ(with("version", int64_t{2}),
            "it has version 2 of the format, but this ivon reads version 1; update ivon");
  EXPECT_EQ(with("format", "other"), "it is a file of PyTorch, but not of ivon::Posterior");
  EXPECT_EQ(with("mean", int64_t{1}), "its 'mean' is no dictionary");
  EXPECT_EQ(with("left_out", 0.5),
            "ivon: the archive's entry 'left_out' must be a list, got Double; it is damaged");
  EXPECT_EQ(with("ess", -1.0),
            "ivon: ess must be finite and > 0, got -1; leave it out if it is unknown");
  c10::Dict<std::string, Tensor> others;
  others.insert("v", torch::ones({64}));
  EXPECT_EQ(with("precision", others), "'v' has a precision but no mean");
  c10::Dict<std::string, Tensor> negative;
  negative.insert("w", -torch::ones({64}));
  EXPECT_EQ(with("precision", negative),
            "ivon: the precision of 'w' must be finite and > 0, but 64 of 64 elements are not; it "
            "is 1 / variance");
  ForgedFile(file).write(c10::IValue(int64_t{3}));
  EXPECT_EQ(reason(file), "it holds no dictionary");
}

// A tensor that claims elements outside its storage of `stored` numbers.
Tensor forged_tensor(int64_t stored, const std::vector<int64_t>& sizes,
                     const std::vector<int64_t>& strides, int64_t offset) {
  Tensor tensor = torch::ones({stored});
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  tensor.unsafeGetTensorImpl()->set_storage_offset(offset);
  return tensor;
}

// Newer versions of LibTorch refuse such tensors themselves.
bool refuses_place(const std::string& reason) {
  return reason == "'w' is larger than its data" || reason.rfind("it is no posterior: ", 0) == 0;
}

TEST(ForgedPosterior, HasElementsOutsideItsData) {
  const FileFolder folder;
  const std::string file = folder / "q.pt";
  const auto reason_of = [&](const Tensor& tensor) {
    c10::Dict<std::string, Tensor> forged;
    forged.insert("w", tensor);
    auto content = forged_content();
    for (const char* key : {"mean", "precision"}) content.insert_or_assign(key, forged);
    ForgedFile(file).write(content);
    return reason(file);
  };
  constexpr int64_t kHuge = int64_t{1} << 62;
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(64, {65}, {1}, 0)));
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(64, {64}, {2}, 0)));
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(64, {64}, {1}, 1)));
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(64, {64}, {1}, -1)));
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(64, {2, 3}, {kHuge, kHuge}, 0)));
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(64, {1}, {1}, kHuge)));
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(0, {8}, {1}, 0)));
  EXPECT_PRED1(refuses_place, reason_of(forged_tensor(0, {1}, {0}, 0)));
  // Inside its storage all the same: a part of it, and one number many times.
  EXPECT_EQ(reason_of(forged_tensor(64, {4, 3}, {15, 1}, 16)), "other: ");
  EXPECT_EQ(reason_of(forged_tensor(1, {5}, {0}, 0)), "other: ");
  EXPECT_TRUE(torch::equal(Posterior::load(file).mean("w"), torch::ones({5})));
}

TEST(ForgedPosterior, PlacesAreCheckedAgainstTheRecord) {
  const FileFolder folder;
  const std::string name = folder / "q.pt";
  ForgedFile(name).write(c10::IValue(torch::ones({64})));
  ivon::detail::PickledFile file(name);
  const Tensor tensor = file.content_of(file.pickle(), "").toTensor();
  const auto reason = [&] {
    return ivon_test::message_of([&] { file.check_tensor(tensor, "w"); });
  };
  EXPECT_EQ(reason(), "");
  tensor.unsafeGetTensorImpl()->set_storage_offset(1);
  EXPECT_EQ(reason(), "'w' is larger than its data");
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(std::vector<int64_t>{63},
                                                      std::vector<int64_t>{1});
  EXPECT_EQ(reason(), "");
  tensor.storage().set_nbytes(1024);
  EXPECT_EQ(reason(), "'w' is larger than its data");
}

TEST(ForgedPosterior, PlacesOfElements) {
  const auto within = [](const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                         int64_t offset) {
    const Tensor tensor = forged_tensor(64, sizes, strides, offset);
    return ivon::detail::lies_within(tensor, 64 * sizeof(float));
  };
  EXPECT_TRUE(within({64}, {1}, 0));
  EXPECT_TRUE(within({2, 3}, {60, 1}, 1));
  EXPECT_FALSE(within({2, 3}, {60, 2}, 0));
  EXPECT_TRUE(within({}, {}, 63));
  EXPECT_FALSE(within({}, {}, 64));
  EXPECT_TRUE(within({0, 7}, {7, 1}, 0));
  EXPECT_FALSE(within({int64_t{1} << 32, int64_t{1} << 30}, {0, 0}, 0));  // 2^64 bytes
}

TEST(ForgedPosterior, NoQuantizedTensors) {
  const FileFolder folder;
  c10::Dict<std::string, Tensor> quantized;
  quantized.insert("w", at::quantize_per_tensor(torch::ones({64}), 0.5, 0, at::kQInt8));
  auto content = forged_content();
  content.insert_or_assign("mean", quantized);
  ForgedFile(folder / "q.pt").write(content);
  EXPECT_EQ(reason(folder / "q.pt"), "it is no posterior: it holds a quantized tensor");
}

}  // namespace
