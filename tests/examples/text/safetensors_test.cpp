// SPDX-License-Identifier: Apache-2.0
// Files of tensors: what is written is read.
#include "common/models/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>
#include <stdexcept>
#include <string>

#include "safetensors_file.hpp"

namespace {

using examples::Safetensors;
using examples_test::safetensors_entry;
using examples_test::SafetensorsFile;
using testing::ElementsAre;

TEST(Safetensors, KeepsEveryType) {
  const SafetensorsFile file;
  std::map<std::string, torch::Tensor> tensors;
  for (const auto type : {at::kLong, at::kDouble, at::kFloat, at::kInt, at::kBFloat16, at::kHalf,
                          at::kShort, at::kChar, at::kByte, at::kBool}) {
    tensors[c10::toString(type)] = torch::tensor({{1, 0, 1}, {0, 0, 1}}).to(type);
  }
  examples::save_safetensors(file.path, tensors);
  const Safetensors read(file.path);
  EXPECT_EQ(read.names().size(), 10u);
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(read.tensor(name).scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(torch::equal(read.tensor(name), tensor)) << name;
  }
}

TEST(Safetensors, KeepsScalarsEmptyTensorsAndStridedOnes) {
  const SafetensorsFile file;
  const torch::Tensor strided = torch::arange(6).view({2, 3}).t();
  examples::save_safetensors(
      file.path, {{"scalar", torch::tensor(3.5)}, {"empty", torch::ones({2, 0})}, {"t", strided}});
  const Safetensors read(file.path);
  EXPECT_THAT(read.names(), ElementsAre("empty", "scalar", "t"));
  EXPECT_EQ(read.tensor("scalar").dim(), 0);
  EXPECT_EQ(read.tensor("scalar").item<double>(), 3.5);
  EXPECT_THAT(read.tensor("empty").sizes(), ElementsAre(2, 0));
  EXPECT_TRUE(torch::equal(read.tensor("t"), strided));
}

TEST(Safetensors, KeepsMetadataAndNamesOfAnyText) {
  const SafetensorsFile file;
  examples::save_safetensors(file.path, {{"\"\n\u00e4", torch::ones(1)}}, {{"format", "pt"}});
  const Safetensors read(file.path);
  EXPECT_TRUE(read.has("\"\n\u00e4"));
  EXPECT_FALSE(read.has("format"));
  EXPECT_EQ(read.metadata().at("format"), "pt");
}

TEST(Safetensors, WritesNoTensors) {
  const SafetensorsFile file;
  examples::save_safetensors(file.path, {});
  EXPECT_EQ(file.bytes(), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  EXPECT_TRUE(Safetensors(file.path).names().empty());
}

TEST(Safetensors, ATensorOutlivesItsFileObject) {
  const SafetensorsFile file;
  examples::save_safetensors(file.path, {{"a", torch::arange(1000)}});
  const torch::Tensor a = Safetensors(file.path).tensor("a");
  EXPECT_EQ(a.sum().item<int64_t>(), 499500);
}

TEST(Safetensors, ReadsUnalignedData) {
  const SafetensorsFile file;
  const float values[] = {1.5, -2};
  const std::string data =
      std::string("\x07") + std::string(reinterpret_cast<const char*>(values), 8);
  file.write("{" + safetensors_entry("U8", "[1]", "[0,1]", "b") + "," +
                 safetensors_entry("F32", "[2]", "[1,9]") + "}",
             data);
  const Safetensors read(file.path);
  EXPECT_TRUE(torch::equal(read.tensor("a"), torch::tensor({1.5, -2.0}, at::kFloat)));
  EXPECT_EQ(read.tensor("b").item<int>(), 7);
}

TEST(Safetensors, TellsShapeAndTypeWithoutTheTensor) {
  const SafetensorsFile file;
  examples::save_safetensors(file.path, {{"a", torch::ones({2, 3}, at::kHalf)}});
  const Safetensors read(file.path);
  EXPECT_THAT(read.shape("a"), ElementsAre(2, 3));
  EXPECT_EQ(read.type("a"), at::kHalf);
  const char* message = "a.safetensors: has no tensor b; check that the file is the model's";
  EXPECT_EQ(file.error([&] { read.shape("b"); }), message);
  EXPECT_EQ(file.error([&] { read.type("b"); }), message);
  EXPECT_EQ(file.error([&] { read.tensor("b"); }), message);
}

TEST(Safetensors, RefusesWhatItCannotWrite) {
  const SafetensorsFile file;
  const auto error = [&](const std::string& name, const torch::Tensor& tensor) {
    return file.error([&] { examples::save_safetensors(file.path, {{name, tensor}}); });
  };
  EXPECT_EQ(error("a", torch::zeros(1, at::kComplexFloat)),
            "safetensors: the tensor a has the type ComplexFloat, which the format lacks; convert "
            "it first");
  EXPECT_EQ(error("a", torch::Tensor()), "safetensors: the tensor a is undefined; leave it out");
  EXPECT_EQ(error("a", torch::zeros(1).to_sparse()),
            "safetensors: the tensor a is not dense; convert it by to_dense()");
  EXPECT_EQ(error("a", torch::zeros({1, 1, 1, 1, 1, 1, 1, 1, 1})),
            "safetensors: the tensor a has 9 dimensions, but at most 8 are allowed; reshape it");
  EXPECT_EQ(error("__metadata__", torch::zeros(1)),
            "safetensors: the tensor __metadata__ has a name that the format reserves; choose "
            "another one");
  EXPECT_EQ(error("\xff", torch::zeros(1)),
            "safetensors: a name or the metadata is not UTF-8; choose another");
  EXPECT_FALSE(std::filesystem::exists(file.path));
  EXPECT_EQ(file.error([&] { examples::save_safetensors(file.folder.path / "no" / "a", {}); }),
            "no/a: cannot be written: No such file or directory; a previous file of this name is "
            "unchanged");
}

TEST(Safetensors, RefusesBoolsOtherThanZeroAndOne) {
  const SafetensorsFile file;
  file.write("{" + safetensors_entry("BOOL", "[2]", "[0,2]") + "}", "\x01\x02");
  const Safetensors read(file.path);
  EXPECT_EQ(file.error([&] { read.tensor("a"); }),
            "a.safetensors: the tensor a has a BOOL other than 0 and 1; save it again");
}

}  // namespace
