// SPDX-License-Identifier: Apache-2.0
// Posterior::save() and load(): what is written is read back, and no damaged or foreign file is
// taken for a posterior or crashes the program. python/posterior_exchange.py exchanges such files
// with Python.
#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "ivon/posterior/posterior.hpp"
#include "ivon/posterior/predict_regression.hpp"
#include "posterior_files.hpp"
#include "support.hpp"

namespace {

using ivon::Posterior;
using ivon_test::bytes_of;
using ivon_test::FileFolder;
using ivon_test::reason;
using ivon_test::same_bits;
using ivon_test::write_bytes;
using torch::Tensor;

Posterior example() {
  torch::manual_seed(ivon_test::kSeed);
  const Tensor square = torch::randn({4, 3}).t();  // not in row-major order
  return Posterior({{"layer.weight", square, torch::rand({4, 3}).t() + 1, torch::randn({3, 4}),
                     torch::rand({3, 4}) + 1},
                    {"layer.bias",
                     torch::randn({7}, torch::kDouble).slice(0, 2, 5),
                     torch::rand({3}, torch::kDouble) + 1,
                     {},
                     torch::full({}, 0.5, torch::kDouble)},
                    {"empty", torch::zeros({0}), torch::zeros({0})}},
                   1234.5, {"frozen", "buffer"});
}

bool equal(const Posterior& a, const Posterior& b) {
  if (a.names() != b.names() || a.left_out() != b.left_out() || a.has_ess() != b.has_ess() ||
      (a.has_ess() && a.ess() != b.ess())) {
    return false;
  }
  for (size_t i = 0; i < a.parameters().size(); ++i) {
    for (const auto& field : ivon::detail::kPosteriorFields) {
      if (!same_bits(a.parameters()[i].*field.tensor, b.parameters()[i].*field.tensor)) {
        return false;
      }
    }
  }
  return true;
}

TEST(PosteriorFile, IsReadBackBitForBit) {
  const FileFolder folder;
  const Posterior q = example();
  q.save(folder / "q.pt");
  EXPECT_TRUE(equal(Posterior::load(folder / "q.pt"), q));
  EXPECT_FALSE(std::filesystem::exists(folder / "q.pt.part"));
  EXPECT_EQ(q.parameter("layer.weight").mean.strides(),
            Posterior::load(folder / "q.pt").mean("layer.weight").strides());
  const Posterior bare({});
  bare.save(folder / "q.pt");
  EXPECT_TRUE(equal(Posterior::load(folder / "q.pt"), bare));
}

TEST(PosteriorFile, AFailureLeavesThePreviousFile) {
  const FileFolder folder;
  EXPECT_EQ(ivon_test::message_of([&] { example().save(folder / "no/such/q.pt"); }),
            "ivon: " + (folder / "no/such/q.pt") +
                ": cannot be written: No such file or "
                "directory; a previous file of this name is unchanged");
  std::filesystem::create_directories(folder / "q.pt");  // a folder cannot be replaced by a file
  EXPECT_NE(ivon_test::message_of([&] { example().save(folder / "q.pt"); }), "");
  EXPECT_FALSE(std::filesystem::exists(folder / "q.pt.part"));
}

TEST(PosteriorFile, MissingTruncatedOrForeign) {
  const FileFolder folder;
  const std::string file = folder / "q.pt";
  EXPECT_EQ(reason(file), "it cannot be opened");
  write_bytes(file, "");
  EXPECT_EQ(reason(file), "it is too short to be a posterior");
  write_bytes(file, "It was a dark and stormy night, and no posterior was in sight.");
  EXPECT_EQ(reason(file), "it is truncated or no file of PyTorch");
  example().save(file);
  const std::string whole = bytes_of(file);
  for (size_t length = 0; length < whole.size(); length += 7) {
    write_bytes(file, whole.substr(0, length));
    EXPECT_NE(reason(file).rfind("other", 0), 0) << length;
  }
  torch::save(torch::ones({2}), file);
  EXPECT_EQ(reason(file).rfind("it is no posterior: Unpickler found unknown type", 0), 0)
      << reason(file);
}

TEST(PosteriorFile, NoDamageIsTakenForContentOrCrashes) {
  const FileFolder folder;
  const std::string file = folder / "q.pt";
  const Posterior q = example();
  q.save(file);
  const std::string whole = bytes_of(file);
  std::mt19937_64 random(ivon_test::kSeed);
  int refused = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string altered = whole;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int k = 0; k < changes; ++k) {
      altered[random() % altered.size()] = static_cast<char>(random());
    }
    if (random() % 8 == 0) altered.resize(altered.size() - random() % 64);
    write_bytes(file, altered);
    const std::string message = ivon_test::message_of(
        [&] { EXPECT_TRUE(equal(Posterior::load(file), q)) << "mutation " << i; });
    refused += message.empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 5'000);
}

TEST(PosteriorFile, Crc32) {
  EXPECT_EQ(ivon::detail::crc32_of("123456789", 9), 0xCBF43926U);  // the check value of ISO 3309
  EXPECT_EQ(ivon::detail::crc32_of("", 0), 0U);
  EXPECT_EQ(ivon::detail::crc32_of("The quick brown fox jumps over the lazy dog", 43), 0x414FA339U);
}

// The C++ side of tests/python/posterior_exchange.py, which runs each of these in a process of its
// own.
std::string exchange_file(const char* name) {
  const char* folder = std::getenv("IVON_EXCHANGE_FOLDER");
  return std::string(folder != nullptr ? folder : ".") + "/" + name;
}

TEST(PosteriorExchange, DISABLED_Writes) {
  const Tensor b = torch::arange(3, torch::kDouble);
  Posterior({{"a.weight", torch::arange(6, torch::kFloat).view({2, 3}) / 8,
              torch::arange(6, torch::kFloat).view({2, 3}) + 1},
             {"b", b, b + 2, b / 4, torch::full({}, 0.5, torch::kDouble)}},
            12.5, {"frozen"})
      .save(exchange_file("cpp.pt"));
}

TEST(PosteriorExchange, DISABLED_SamplesATorchScriptModule) {
  constexpr int64_t kSamples = 4000;
  torch::jit::Module module = torch::jit::load(exchange_file("module.pt"));
  Posterior q = Posterior::load(exchange_file("python.pt"));
  const std::string inputs = bytes_of(exchange_file("x.pt"));
  const Tensor x = torch::pickle_load(std::vector<char>(inputs.begin(), inputs.end())).toTensor();
  const auto forward = [&] { return module.forward({x.slice(0, 0, 5)}).toTensor(); };
  const auto p = ivon::predict_regression(q, module, forward, kSamples).result();
  const auto values = [](const Tensor& t) {
    const Tensor flat = t.to(torch::kDouble).flatten();
    return std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  };
  std::ofstream(exchange_file("moments.json")) << nlohmann::json{
      {"samples", kSamples}, {"mean", values(p.mean)}, {"variance", values(p.epistemic_variance)}};
  q.save(exchange_file("back.pt"));
}

}  // namespace
