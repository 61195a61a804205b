// SPDX-License-Identifier: Apache-2.0
// Damaged and hostile files of tensors: each is an error that says what is wrong. The memory that
// they need is measured in file_memory_test.cpp.
#include "common/models/safetensors_header.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "safetensors_file.hpp"

namespace {

using examples::Safetensors;
using examples_test::safetensors_entry;
using examples_test::SafetensorsFile;
using testing::HasSubstr;
using testing::StartsWith;

TEST(SafetensorsHeader, RefusesFilesThatAreCut) {
  const SafetensorsFile file;
  examples::save_safetensors(file.path, {{"a", torch::arange(4)}});
  const std::string whole = file.bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    file.write_bytes(whole.substr(0, size));
    EXPECT_THAT(file.error_of_reading(), StartsWith("a.safetensors: ")) << size;
  }
  file.write_bytes(whole.substr(0, 7));
  EXPECT_EQ(file.error_of_reading(),
            "a.safetensors: has 7 bytes, which is too short for the format safetensors; get the "
            "file again");
  file.write_bytes(whole + "b");
  EXPECT_EQ(file.error_of_reading(),
            "a.safetensors: has 33 bytes of data, but its header describes 32; get the file again");
}

TEST(SafetensorsHeader, RefusesLongHeaders) {
  const SafetensorsFile file;
  const uint64_t length = 100'000'001;
  file.write_bytes(std::string(reinterpret_cast<const char*>(&length), sizeof length));
  std::filesystem::resize_file(file.path, length + 8);
  EXPECT_EQ(file.error_of_reading(),
            "a.safetensors: its header has 100000001 bytes, but the file has 100000009 and at most "
            "100000000 are allowed; it is cut or no safetensors file");
  file.write_bytes("\xff\xff\xff\xff\xff\xff\xff\xff{}");
  EXPECT_EQ(file.error_of_reading(),
            "a.safetensors: its header has 18446744073709551615 bytes, but the file has 10 and at "
            "most 100000000 are allowed; it is cut or no safetensors file");
}

// A header, or an entry of one, and what is said about it.
struct HeaderCase {
  std::string text, error;
};

void expect_header_errors(const std::vector<HeaderCase>& cases, const std::string& data = "") {
  const SafetensorsFile file;
  for (const HeaderCase& c : cases) {
    EXPECT_EQ(file.error_of_header(c.text, data), "a.safetensors: " + c.error)
        << c.text.substr(0, 200);
  }
}

TEST(SafetensorsHeader, RefusesMalformedHeaders) {
  const std::string again = "; get the file again";
  const auto malformed = [&](int byte) {
    return "its header is malformed JSON at byte " + std::to_string(byte) + again;
  };
  expect_header_errors({
      {"", malformed(1)},
      {"{", malformed(2)},
      {"{}x", malformed(3)},
      {"{\"\xff\":{}}", malformed(3)},
      {std::string("{}\0x", 4), "its header has a zero byte" + again},
      {"[]", "its header must be a JSON object, but is a list; it is no safetensors file"},
      {std::string(1'000'000, '['),
       "its header must be a JSON object, but is a list; it is no safetensors file"},
      {"1", "its header must be a JSON object, but is a number; it is no safetensors file"},
      {"{\"" + std::string(2'000'000, 'a'),
       "its header has a string or white space of more than 1048576 bytes, which are not "
       "supported; save the file again"},
      {"{\"a\":1}", "its header: a must be an object, but is a number" + again},
      {"{\"a\":[]}", "its header: a must be an object, but is a list" + again},
      {"{\"a\":null}", "its header: a must be an object, but is null" + again},
      {"{\"a\":{}}",
       "its header: a must have dtype, shape and data_offsets, but lacks one" + again},
      {"{\"a\":{\"shape\":{}}}",
       "its header: a has an object in shape, where the format has none" + again},
      {"{\"a\":{\"shape\":[[]]}}",
       "its header: a has a list in shape, where the format has none" + again},
      {"{\"__metadata__\":{\"a\":1}}",
       "its header: __metadata__ has a number in a, where the format has none" + again},
      {"{\"__metadata__\":{},\"__metadata__\":{}}",
       "its header: __metadata__ is there twice" + again},
      {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}",
       "its header: __metadata__ has a twice" + again},
  });
}

TEST(SafetensorsHeader, RefusesTooManyStringsOfMetadata) {
  std::string header = "{\"__metadata__\":{\"0\":\"\"";
  for (int i = 1; i <= 1000; ++i) header += ",\"" + std::to_string(i) + "\":\"\"";
  expect_header_errors(
      {{header + "}}", "its header: __metadata__ has more than 1000 strings; remove some"}});
}

TEST(SafetensorsHeader, RefusesWrongEntries) {
  const std::string again = "; get the file again";
  const auto entry = [](const char* type, const char* shape, const char* offsets) {
    return "{" + safetensors_entry(type, shape, offsets) + "}";
  };
  const std::string types =
      ", but only I64, F64, F32, I32, BF16, F16, I16, I8, U8 and BOOL are supported; convert it in "
      "Python";
  const std::string gap =
      " of the 8 of the data, but those of the tensor before end at 0; the "
      "file is damaged or cut";
  expect_header_errors(
      {
          {entry("F8_E5M2", "[8]", "[0,8]"), "its header: a has the type F8_E5M2" + types},
          {entry("f32", "[2]", "[0,8]"), "its header: a has the type f32" + types},
          {entry("F32", "[-2]", "[0,8]"),
           "its header: a has -2 in shape, where the format has none" + again},
          {entry("F32", "[2.0]", "[0,8]"),
           "its header: a has the number 2.0 in shape, where the format has none" + again},
          {entry("F32", "[\"2\"]", "[0,8]"),
           "its header: a has a string in shape, where the format has none" + again},
          {entry("F32", "[3]", "[0,8]"),
           "its header: a needs 12 bytes, but has data_offsets 0 to 8" + again},
          {entry("F32", "[2]", "[8,0]"),
           "its header: a needs 8 bytes, but has data_offsets 8 to 0" + again},
          {entry("F32", "[2]", "[0]"),
           "its header: a must have two data_offsets, but has 1" + again},
          {entry("F32", "[2]", "[0,8,8]"),
           "its header: a must have two data_offsets, but has more" + again},
          {entry("F32", "[2]", "[1,9]"), "a has bytes 1 to 9" + gap},
          {entry("F32", "[4]", "[0,16]"), "a has bytes 0 to 16" + gap},
          {entry("F32", "[1]", "[0,4]"), "has 8 bytes of data, but its header describes 4" + again},
          {entry("F32", "[9223372036854775807]", "[0,8]"),
           "its header: a has a shape of more than 2^63 - 1 bytes" + again},
          {entry("F32", "[4294967296,4294967296,0]", "[0,0]"),
           "its header: a has a shape of more than 2^63 - 1 bytes" + again},
          {entry("F32", "[18446744073709551615]", "[0,8]"),
           "its header: a has the number 18446744073709551615, but at most 2^63 - 1 are possible" +
               again},
          {entry("U8", "[1,1,1,1,1,1,1,1,8]", "[0,8]"),
           "its header: a has more than 8 dimensions; reshape it in Python"},
      },
      std::string(8, '\0'));
}

TEST(SafetensorsHeader, RefusesEntriesThatDoNotFitEachOther) {
  const SafetensorsFile file;
  const auto error = [&](const std::string& offsets, const std::string& name) {
    return file.error_of_header("{" + safetensors_entry("U8", "[4]", "[0,4]") + "," +
                                    safetensors_entry("U8", "[4]", offsets, name) + "}",
                                "12345678");
  };
  const std::string end =
      " of the 8 of the data, but those of the tensor before end at 4; the file is damaged or cut";
  EXPECT_EQ(error("[4,8]", "b"), "");
  EXPECT_EQ(error("[4,8]", "a"), "a.safetensors: has the tensor a twice; get the file again");
  EXPECT_EQ(error("[2,6]", "b"), "a.safetensors: b has bytes 2 to 6" + end);
  EXPECT_EQ(error("[5,9]", "b"), "a.safetensors: b has bytes 5 to 9" + end);
  EXPECT_THAT(error("[0,4]", "b"), HasSubstr("has bytes 0 to 4" + end));  // a or b
}

TEST(SafetensorsHeader, RefusesMissingDoubleAndUnknownFields) {
  const std::string again = "; get the file again";
  expect_header_errors(
      {{R"({"a":{"dtype":"U8","shape":[0]}})",
        "its header: a must have dtype, shape and data_offsets, but lacks one" + again},
       {R"({"a":{"dtype":"U8","dtype":"U8"}})", "its header: a has dtype twice" + again},
       {R"({"a":{"type":"U8"}})",
        "its header: a may have dtype, shape and data_offsets only, but has type" + again}});
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
TEST(SafetensorsHeader, SurvivesTenThousandDamagedFiles) {
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
