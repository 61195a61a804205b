// SPDX-License-Identifier: Apache-2.0
#include "model_folder.hpp"

#include <fmt/format.h>

#include <fstream>
#include <stdexcept>
#include <string>

#include "common/atomic_file.hpp"
#include "common/data/file_checksum.hpp"
#include "common/data/file_error.hpp"
#include "common/models/gpt2_weights.hpp"
#include "common/models/weight_files.hpp"
#include "common/settings.hpp"
#include "common/text/open_tokenizer.hpp"

namespace gpt2 {
namespace {

namespace fs = std::filesystem;

// Beside adapters: {"base": "FOLDER", "checksum": "..."}, the weights that they adapt.
constexpr const char* kBaseFile = "base.json";
constexpr const char* kPosteriorFile = "posterior.pt";
constexpr const char* kAdapterFiles[] = {kBaseFile, "adapter_model.safetensors",
                                         "adapter_config.json"};

void check_given(const fs::path& folder) {
  if (!folder.empty()) return;
  throw std::invalid_argument(
      "--trained must name a folder that train or finetune has written, or one of transformers' "
      "save_pretrained(), but is not given");
}

void save_rest(const fs::path& folder, const examples::Tokenizer& tokenizer,
               const std::optional<ivon::Posterior>& posterior) {
  tokenizer.save(folder);
  if (posterior) {
    posterior->save((folder / kPosteriorFile).string());
  } else {
    fs::remove(folder / kPosteriorFile);
  }
}

fs::path base_of(const fs::path& folder) {
  const fs::path file = folder / kBaseFile;
  std::ifstream in(file);
  const examples::Json json = examples::Json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("base") || !json["base"].is_string()) {
    examples::fail_file(file, "must be {\"base\": \"FOLDER\"}, the folder of the adapted model");
  }
  const fs::path base = json["base"].get<std::string>();
  if (!fs::is_directory(base)) {
    examples::fail_file(file, fmt::format("names the folder {}, which does not exist; correct the "
                                          "file or put the model there",
                                          base.string()));
  }
  if (json.contains("checksum") && json["checksum"] != weights_checksum(base)) {
    examples::fail_file(folder, fmt::format("its adapters were trained on other weights than {} "
                                            "holds now; train them again",
                                            base.string()));
  }
  return base;
}

// Some models round the number of their tokens up, to a multiple of 128 at most.
constexpr int64_t kMostRounding = 127;

void check_vocabulary(const TrainedModel& trained, const fs::path& folder) {
  const int64_t tokens = trained.tokenizer->size();
  const int64_t rows = trained.model->options().vocabulary;
  if (tokens <= rows && rows - tokens <= kMostRounding) return;
  examples::fail_file(folder, fmt::format("the vocabulary has {} tokens, but the model {}; name "
                                          "the vocabulary that it was trained with by --vocabulary",
                                          tokens, rows));
}

}  // namespace

void save_model(const fs::path& folder, const examples::Gpt2& model,
                const examples::Tokenizer& tokenizer,
                const std::optional<ivon::Posterior>& posterior) {
  fs::create_directories(folder);
  examples::save_gpt2(model, folder);
  save_rest(folder, tokenizer, posterior);
  for (const char* file : kAdapterFiles) fs::remove(folder / file);
  fs::remove(folder / examples::kWeightsIndex);  // without it, weights in several files are ignored
}

void save_adapters(const fs::path& folder, const examples::Gpt2& model,
                   const examples::LoraOptions& lora, const fs::path& base,
                   const examples::Tokenizer& tokenizer,
                   const std::optional<ivon::Posterior>& posterior) {
  fs::create_directories(folder);
  examples::save_lora(model, lora, folder);
  const examples::Json json = {{"base", fs::absolute(base).string()},
                               {"checksum", weights_checksum(base)}};
  examples::write_atomically(folder / kBaseFile, json.dump(2) + "\n");
  save_rest(folder, tokenizer, posterior);
  for (const char* file : {examples::kWeightsFile, examples::kWeightsIndex, "config.json"}) {
    fs::remove(folder / file);
  }
}

TrainedModel load_model(const fs::path& folder, const fs::path& vocabulary,
                        const torch::Device& device, const LoadSettings& settings) {
  check_given(folder);
  TrainedModel trained;
  const bool adapted = fs::exists(folder / kBaseFile);
  trained.model =
      examples::load_gpt2(adapted ? base_of(folder) : folder, settings.dropout, settings.recompute);
  if (adapted) trained.lora = examples::load_lora(*trained.model, folder);
  trained.model->to(device);
  trained.model->eval();
  const fs::path words = vocabulary.empty() ? folder : vocabulary;
  trained.tokenizer = examples::open_tokenizer(words);
  check_vocabulary(trained, words);
  const fs::path posterior = folder / kPosteriorFile;
  if (settings.part == Part::kAll && fs::exists(posterior)) {
    trained.posterior = ivon::Posterior::load(posterior.string()).to(device);
  }
  return trained;
}

std::string weights_checksum(const fs::path& folder) {
  check_given(folder);
  std::string checksums;
  for (const fs::path& file : examples::WeightFiles(folder).files) {
    checksums += (checksums.empty() ? "" : "+") + examples::file_checksum(file);
  }
  return checksums;
}

void check_other_folder(const fs::path& out, const fs::path& trained) {
  check_given(trained);
  if (!fs::exists(out) || !fs::exists(trained)) return;
  const fs::path target = fs::canonical(out), source = fs::canonical(trained);
  if (target == source || target == source.parent_path()) {
    throw std::invalid_argument(
        fmt::format("--out must be another folder than that of the trained model, {}, which would "
                    "be overwritten, but is {}; name a new one",
                    trained.string(), out.string()));
  }
}

}  // namespace gpt2
