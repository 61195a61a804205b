// SPDX-License-Identifier: Apache-2.0
// Files of tensors: what is written is read, and damaged files are errors.
#include "common/models/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>

#include "common/models/safetensors_header.hpp"
#include "small.hpp"

namespace {

using examples::Safetensors;
using examples_test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

struct SafetensorsFile {
  examples_test::Folder folder{"safetensors"};
  std::filesystem::path path = folder.path / "a.safetensors";

  // The header's length, the header and the data.
  void write(const std::string& header, const std::string& data) const {
    const uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    write_bytes(bytes + header + data);
  }
  void write_bytes(const std::string& bytes) const {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::string bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string error_of_header(const std::string& header, const std::string& data = "") const {
    write(header, data);
    return error_of([this] { Safetensors{path}; });
  }
};

// An entry "a" of the header, without the outer braces.
std::string safetensors_entry(const std::string& type, const std::string& shape,
                              const std::string& offsets, const std::string& name = "a") {
  return "\"" + name + R"(":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

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

TEST(Safetensors, RefusesWhatItCannotWrite) {
  const SafetensorsFile file;
  const auto save = [&](const std::string& name, const torch::Tensor& tensor) {
    examples::save_safetensors(file.path, {{name, tensor}});
  };
  EXPECT_THROW(save("a", torch::zeros(1, at::kComplexFloat)), std::invalid_argument);
  EXPECT_THROW(save("a", torch::Tensor()), std::invalid_argument);
  EXPECT_THROW(save("a", torch::zeros(1).to_sparse()), std::invalid_argument);
  EXPECT_THROW(save("a", torch::zeros({1, 1, 1, 1, 1, 1, 1, 1, 1})), std::invalid_argument);
  EXPECT_THROW(save("__metadata__", torch::zeros(1)), std::invalid_argument);
  EXPECT_THROW(save("\xff", torch::zeros(1)), std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(file.path));
  const auto nowhere = file.folder.path / "no" / "a.safetensors";
  EXPECT_THAT(error_of([&] { examples::save_safetensors(nowhere, {}); }), HasSubstr(nowhere));
}

TEST(Safetensors, NamesTheFileThatLacksATensor) {
  const SafetensorsFile file;
  examples::save_safetensors(file.path, {});
  EXPECT_THAT(error_of([&] { Safetensors(file.path).tensor("b"); }),
              HasSubstr("a.safetensors: has no tensor b"));
  EXPECT_THAT(error_of([&] { Safetensors{file.folder.path / "c"}; }), HasSubstr("/c"));
}

TEST(Safetensors, RefusesFilesThatAreCut) {
  const SafetensorsFile file;
  examples::save_safetensors(file.path, {{"a", torch::arange(4)}});
  const std::string whole = file.bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    file.write_bytes(whole.substr(0, size));
    EXPECT_THROW(Safetensors{file.path}, std::runtime_error) << size;
  }
  file.write_bytes(whole + "b");
  EXPECT_THROW(Safetensors{file.path}, std::runtime_error);
}

TEST(Safetensors, RefusesLongHeaders) {
  const SafetensorsFile file;
  const uint64_t length = 100'000'001;
  file.write_bytes(std::string(reinterpret_cast<const char*>(&length), sizeof length));
  std::filesystem::resize_file(file.path, length + 8);
  EXPECT_THAT(error_of([&] { Safetensors{file.path}; }), HasSubstr("100000001 bytes"));
  file.write_bytes("\xff\xff\xff\xff\xff\xff\xff\xff{}");
  EXPECT_THROW(Safetensors{file.path}, std::runtime_error);
}

TEST(Safetensors, RefusesMalformedHeaders) {
  const SafetensorsFile file;
  for (const char* header :
       {"", "[]", "1", "{", "{}x", "{\"a\":1}", "{\"a\":[]}", "{\"a\":null}", "{\"a\":{}}",
        "{\"a\":{\"shape\":{}}}", "{\"a\":{\"shape\":[[]]}}", "{\"__metadata__\":{\"a\":1}}",
        "{\"__metadata__\":{},\"__metadata__\":{}}", "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}",
        "{\"\xff\":{}}"}) {
    EXPECT_THAT(file.error_of_header(header), HasSubstr("a.safetensors")) << header;
  }
  EXPECT_THAT(file.error_of_header(std::string("{}\0x", 4)), HasSubstr("zero byte"));
  EXPECT_THAT(file.error_of_header(std::string(1'000'000, '[')),
              HasSubstr("must be a JSON object"));
  EXPECT_THAT(file.error_of_header("{\"" + std::string(2'000'000, 'a')), HasSubstr("1048576"));
}

TEST(Safetensors, RefusesWrongEntries) {
  const SafetensorsFile file;
  struct Case {
    const char *type, *shape, *offsets, *error;
  };
  for (const Case& c : std::vector<Case>{
           {"F8_E5M2", "[8]", "[0,8]", "type F8_E5M2"},
           {"f32", "[2]", "[0,8]", "type f32"},
           {"F32", "[-2]", "[0,8]", "-2"},
           {"F32", "[2.0]", "[0,8]", "2.0"},
           {"F32", "[\"2\"]", "[0,8]", "a string"},
           {"F32", "[3]", "[0,8]", "needs 12 bytes"},
           {"F32", "[2]", "[8,0]", "data_offsets 8 to 0"},
           {"F32", "[2]", "[0]", "two data_offsets"},
           {"F32", "[2]", "[0,8,8]", "two data_offsets"},
           {"F32", "[2]", "[1,9]", "bytes 1 to 9"},
           {"F32", "[1]", "[0,4]", "8 bytes of data"},
           {"F32", "[4]", "[0,16]", "bytes 0 to 16"},
           {"F32", "[9223372036854775807]", "[0,8]", "too large"},
           {"F32", "[4294967296,4294967296,0]", "[0,0]", "too large"},
           {"F32", "[18446744073709551615]", "[0,8]", "too large"},
           {"U8", "[1,1,1,1,1,1,1,1,8]", "[0,8]", "8 dimensions"},
       }) {
    const std::string header = "{" + safetensors_entry(c.type, c.shape, c.offsets) + "}";
    EXPECT_THAT(file.error_of_header(header, std::string(8, '\0')), HasSubstr(c.error)) << header;
  }
}

TEST(Safetensors, RefusesEntriesThatDoNotFitEachOther) {
  const SafetensorsFile file;
  const auto error = [&](const std::string& offsets, const std::string& name) {
    return file.error_of_header("{" + safetensors_entry("U8", "[4]", "[0,4]") + "," +
                                    safetensors_entry("U8", "[4]", offsets, name) + "}",
                                "12345678");
  };
  EXPECT_EQ(error("[4,8]", "b"), "");
  EXPECT_THAT(error("[4,8]", "a"), HasSubstr("twice"));
  EXPECT_THAT(error("[0,4]", "b"), HasSubstr("bytes 0 to 4"));
  EXPECT_THAT(error("[2,6]", "b"), HasSubstr("bytes 2 to 6"));
  EXPECT_THAT(error("[5,9]", "b"), HasSubstr("bytes 5 to 9"));
}

TEST(Safetensors, RefusesMissingDoubleAndUnknownFields) {
  const SafetensorsFile file;
  EXPECT_THAT(file.error_of_header(R"({"a":{"dtype":"U8","shape":[0]}})"), HasSubstr("must have"));
  EXPECT_THAT(file.error_of_header(R"({"a":{"dtype":"U8","dtype":"U8"}})"), HasSubstr("twice"));
  EXPECT_THAT(file.error_of_header(R"({"a":{"type":"U8"}})"), HasSubstr("unknown field type"));
}

TEST(Safetensors, RefusesBoolsOtherThanZeroAndOne) {
  const SafetensorsFile file;
  file.write("{" + safetensors_entry("BOOL", "[2]", "[0,2]") + "}", "\x01\x02");
  const Safetensors read(file.path);
  EXPECT_THAT(error_of([&] { read.tensor("a"); }), HasSubstr("BOOL"));
}

// The bytes with one to three changes: a digit becomes another one, or a bit is turned. One time in
// eight the end is cut off.
std::string damaged_safetensors(std::string bytes, std::mt19937& random) {
  for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
    const size_t place = random() % bytes.size();
    const size_t digit = bytes.find_first_of("0123456789", place);
    if (random() % 2 == 0 && digit != std::string::npos) {
      bytes[digit] = static_cast<char>('0' + random() % 10);
    } else {
      bytes[place] = static_cast<char>(bytes[place] ^ (1 << random() % 8));
    }
  }
  if (random() % 8 == 0) bytes.resize(random() % bytes.size());
  return bytes;
}

// Every damaged file is an error or can be read wholly. A file on disk is made only where the
// header is accepted, because that takes longer than all else.
TEST(Safetensors, SurvivesTenThousandDamagedFiles) {
  const SafetensorsFile file;
  examples::save_safetensors(
      file.path, {{"a", torch::ones({2, 2})}, {"b", torch::ones(3, at::kBool)}}, {{"c", "d"}});
  const std::string whole = file.bytes();
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string bytes = damaged_safetensors(whole, random);
    try {
      const examples::SafetensorsHeader header("a.safetensors",
                                               reinterpret_cast<const uint8_t*>(bytes.data()),
                                               static_cast<int64_t>(bytes.size()));
      file.write_bytes(bytes);
      const Safetensors opened(file.path);
      for (const std::string& name : opened.names()) opened.tensor(name).sum();
      ++read;
    } catch (const std::runtime_error& error) {
      ASSERT_THAT(error.what(), HasSubstr("a.safetensors"));
    }
  }
  EXPECT_GT(read, 500);
  EXPECT_LT(read, 5'000);
}

}  // namespace
