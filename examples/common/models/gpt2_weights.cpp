// SPDX-License-Identifier: Apache-2.0
#include "common/models/gpt2_weights.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/data/file_error.hpp"
#include "common/models/model_files.hpp"
#include "common/models/safetensors.hpp"
#include "common/models/weight_files.hpp"

namespace examples {
namespace {

constexpr const char* kGpt2Prefix = "transformer.";
constexpr const char* kGpt2Head = "lm_head.weight";
constexpr int64_t kGpt2TensorsOfALayer = 12;
constexpr int64_t kGpt2EndOfText = 50256;  // the token that ends a text in GPT-2's vocabulary

// Whether the parameter is the weight of a Projection, which the files have transposed.
bool is_gpt2_projection(const std::string& name) {
  return ends_with_name(name, "c_attn.weight") || ends_with_name(name, "c_proj.weight") ||
         ends_with_name(name, "c_fc.weight");
}

// One probability, which all three kinds of dropout must have.
double read_gpt2_dropout(const JsonFile& config) {
  constexpr double kDefault = 0.1;  // of transformers
  const auto probability = [&config](const char* name) {
    const nlohmann::json& value = config.value(name);
    if (value.is_null()) return kDefault;
    const bool valid = value.is_number() && value.get<double>() >= 0 && value.get<double>() < 1;
    if (!valid) config.fail(name, "must be a probability of 0 to below 1");
    return value.get<double>();
  };
  const double result = probability("resid_pdrop");
  for (const char* name : {"embd_pdrop", "attn_pdrop"}) {
    if (probability(name) != result) {
      config.fail(name, fmt::format("must be resid_pdrop, {}; make the three equal", result));
    }
  }
  return result;
}

Gpt2Options read_gpt2_config(const JsonFile& config, std::optional<double> dropout) {
  if (config.value("model_type") != "gpt2") config.fail("model_type", "must be \"gpt2\"");
  const nlohmann::json& architectures = config.value("architectures");
  if (!architectures.is_null() && architectures != nlohmann::json{"GPT2LMHeadModel"} &&
      architectures != nlohmann::json{"GPT2Model"}) {
    config.fail("architectures", "must be [\"GPT2LMHeadModel\"] or [\"GPT2Model\"]");
  }
  config.check("activation_function", "gelu_new");
  config.check("layer_norm_epsilon", 1e-5);
  config.check("scale_attn_weights", true);
  config.check("scale_attn_by_inverse_layer_idx", false);
  config.check("reorder_and_upcast_attn", false);
  config.check("add_cross_attention", false);
  Gpt2Options o;
  o.layers = config.size("n_layer");
  o.heads = config.size("n_head");
  o.width = config.size("n_embd");
  o.context = config.size(config.value("n_positions").is_null() ? "n_ctx" : "n_positions");
  o.vocabulary = config.size("vocab_size");
  config.check("n_ctx", o.context);
  config.check("n_inner", 4 * o.width);
  if (o.width % o.heads != 0) config.fail("n_embd", "must be a multiple of n_head");
  o.dropout = dropout ? *dropout : read_gpt2_dropout(config);
  o.initialise = false;
  return o;
}

// The tensors of a file whose names begin with `prefix`. They are known before a model is made, so
// that wrong settings cannot ask for more memory than the file's size.
TensorShapes gpt2_file_shapes(const Gpt2Options& o, const std::string& prefix) {
  const int64_t width = o.width;
  TensorShapes shapes = {{prefix + "wte.weight", {o.vocabulary, width}},
                         {prefix + "wpe.weight", {o.context, width}},
                         {prefix + "ln_f.weight", {width}},
                         {prefix + "ln_f.bias", {width}}};
  for (int64_t i = 0; i < o.layers; ++i) {
    const std::string layer = fmt::format("{}h.{}.", prefix, i);
    const auto add = [&](const char* name, int64_t inputs, int64_t outputs) {
      shapes[layer + name + ".weight"] = {inputs, outputs};
      shapes[layer + name + ".bias"] = {outputs};
    };
    add("attn.c_attn", width, 3 * width);
    add("attn.c_proj", width, width);
    add("mlp.c_fc", width, 4 * width);
    add("mlp.c_proj", 4 * width, width);
    for (const char* norm : {"ln_1", "ln_2"}) {
      shapes[layer + norm + ".weight"] = shapes[layer + norm + ".bias"] = {width};
    }
  }
  return shapes;
}

// The buffers of old files and the head.
std::vector<std::string> gpt2_ignored_names(const Gpt2Options& o, const std::string& prefix) {
  std::vector<std::string> names = {kGpt2Head};
  for (int64_t i = 0; i < o.layers; ++i) {
    names.push_back(fmt::format("{}h.{}.attn.bias", prefix, i));
    names.push_back(fmt::format("{}h.{}.attn.masked_bias", prefix, i));
  }
  return names;
}

void check_gpt2_head(const Safetensors& tensors, const std::filesystem::path& file,
                     const std::string& embedding, bool tied) {
  if (!tensors.has(kGpt2Head)) {
    if (tied) return;
    fail_file(file, fmt::format("lacks {}, although config.json says that it is not tied to the "
                                "token embedding; set tie_word_embeddings to true if it is",
                                kGpt2Head));
  }
  const torch::Tensor head = tensors.tensor(kGpt2Head), tokens = tensors.tensor(embedding);
  if (head.scalar_type() != tokens.scalar_type() || !torch::equal(head, tokens)) {
    fail_file(file, fmt::format("its {} must be equal to the token embedding, but differs; models "
                                "with a head of their own are not supported",
                                kGpt2Head));
  }
}

}  // namespace

std::shared_ptr<Gpt2> load_gpt2(const std::filesystem::path& folder, std::optional<double> dropout,
                                bool recompute) {
  const JsonFile config(folder / "config.json");
  Gpt2Options options = read_gpt2_config(config, dropout);
  options.recompute = recompute;
  const WeightFiles files(folder);
  const std::filesystem::path& file = files.listing;
  const Safetensors tensors = files.open();
  if (const auto count = static_cast<int64_t>(tensors.names().size());
      options.layers > count / kGpt2TensorsOfALayer) {
    fail_file(file, fmt::format("has {} tensors, which are too few for the {} layers of "
                                "config.json; take both from the same folder",
                                count, options.layers));
  }
  const std::string prefix = tensors.has("wte.weight") ? "" : kGpt2Prefix;
  check_tensors(tensors, file, gpt2_file_shapes(options, prefix),
                gpt2_ignored_names(options, prefix));
  check_gpt2_head(tensors, file, prefix + "wte.weight",
                  config.value("tie_word_embeddings") != false);
  auto model = std::make_shared<Gpt2>(options);
  const torch::NoGradGuard no_grad;
  for (const auto& item : model->named_parameters()) {
    const torch::Tensor stored = tensors.tensor(prefix + item.key());
    item.value().copy_(is_gpt2_projection(item.key()) ? stored.t() : stored);
  }
  return model;
}

void save_gpt2(const Gpt2& model, const std::filesystem::path& folder) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& item : model.named_parameters()) {
    const bool of_adapter =
        ends_with_name(item.key(), "lora_a") || ends_with_name(item.key(), "lora_b");
    if (!of_adapter) tensors[kGpt2Prefix + item.key()] = item.value().to(at::kFloat);
  }
  for (const auto& [name, projection] : model.projections()) {
    tensors[kGpt2Prefix + name + ".weight"] = projection->merged_weight().to(at::kFloat).t();
  }
  const Gpt2Options& o = model.options();
  nlohmann::ordered_json config = {{"architectures", {"GPT2LMHeadModel"}},
                                   {"model_type", "gpt2"},
                                   {"n_layer", o.layers},
                                   {"n_head", o.heads},
                                   {"n_embd", o.width},
                                   {"n_inner", nullptr},
                                   {"n_positions", o.context},
                                   {"vocab_size", o.vocabulary},
                                   {"activation_function", "gelu_new"},
                                   {"layer_norm_epsilon", 1e-5},
                                   {"resid_pdrop", o.dropout},
                                   {"embd_pdrop", o.dropout},
                                   {"attn_pdrop", o.dropout},
                                   {"scale_attn_weights", true},
                                   {"scale_attn_by_inverse_layer_idx", false},
                                   {"reorder_and_upcast_attn", false},
                                   {"tie_word_embeddings", true},
                                   {"dtype", "float32"}};
  for (const char* name : {"bos_token_id", "eos_token_id"}) {
    config[name] = o.vocabulary > kGpt2EndOfText ? nlohmann::ordered_json(kGpt2EndOfText) : nullptr;
  }
  save_model_files(folder / kWeightsFile, tensors, folder / "config.json", config);
}

}  // namespace examples
