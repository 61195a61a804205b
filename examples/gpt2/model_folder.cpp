// SPDX-License-Identifier: Apache-2.0
#include "model_folder.hpp"

#include <fmt/format.h>

#include <fstream>
#include <stdexcept>
#include <string>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/models/gpt2_weights.hpp"
#include "common/settings.hpp"
#include "common/text/open_tokenizer.hpp"

namespace gpt2 {
namespace {

namespace fs = std::filesystem;

// Beside adapters: {"base": "FOLDER"}, the folder of the weights that they adapt.
constexpr const char* kBaseFile = "base.json";
constexpr const char* kPosteriorFile = "posterior.pt";

void save_rest(const fs::path& folder, const examples::Tokenizer& tokenizer,
               const std::optional<ivon::Posterior>& posterior) {
  tokenizer.save(folder);
  if (posterior) posterior->save((folder / kPosteriorFile).string());
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
  return base;
}

void check_vocabulary(const TrainedModel& trained, const fs::path& folder) {
  const int64_t tokens = trained.tokenizer->size();
  const int64_t rows = trained.model->options().vocabulary;
  if (tokens > rows) {
    throw std::runtime_error(
        fmt::format("{}: the vocabulary has {} tokens, but the model only {}; name the vocabulary "
                    "that it was trained with by --vocabulary",
                    folder.string(), tokens, rows));
  }
}

}  // namespace

void save_model(const fs::path& folder, const examples::Gpt2& model,
                const examples::Tokenizer& tokenizer,
                const std::optional<ivon::Posterior>& posterior) {
  fs::create_directories(folder);
  examples::save_gpt2(model, folder);
  save_rest(folder, tokenizer, posterior);
}

void save_adapters(const fs::path& folder, const examples::Gpt2& model,
                   const examples::LoraOptions& lora, const fs::path& base,
                   const examples::Tokenizer& tokenizer,
                   const std::optional<ivon::Posterior>& posterior) {
  fs::create_directories(folder);
  examples::save_lora(model, lora, folder);
  const examples::Json json = {{"base", fs::absolute(base).string()}};
  examples::write_atomically(folder / kBaseFile, json.dump(2) + "\n");
  save_rest(folder, tokenizer, posterior);
}

TrainedModel load_model(const fs::path& folder, const fs::path& vocabulary,
                        const torch::Device& device) {
  if (folder.empty()) {
    throw std::invalid_argument(
        "--trained must name a folder that train or finetune has written, or one of transformers' "
        "save_pretrained(), but is not given");
  }
  TrainedModel trained;
  const bool adapted = fs::exists(folder / kBaseFile);
  trained.model = examples::load_gpt2(adapted ? base_of(folder) : folder);
  if (adapted) trained.lora = examples::load_lora(*trained.model, folder);
  trained.model->to(device);
  trained.model->eval();
  const fs::path words = vocabulary.empty() ? folder : vocabulary;
  trained.tokenizer = examples::open_tokenizer(words);
  check_vocabulary(trained, words);
  if (fs::exists(folder / kPosteriorFile)) {
    trained.posterior = ivon::Posterior::load((folder / kPosteriorFile).string()).to(device);
  }
  return trained;
}

}  // namespace gpt2
