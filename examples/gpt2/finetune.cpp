// SPDX-License-Identifier: Apache-2.0
// The command finetune.
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "choice_scores.hpp"
#include "commands.hpp"
#include "common/autocast.hpp"
#include "common/data/example_random.hpp"
#include "common/data/file_checksum.hpp"
#include "common/memory.hpp"
#include "common/run_log.hpp"
#include "model_folder.hpp"
#include "training.hpp"

namespace gpt2 {
namespace {

namespace fs = std::filesystem;

struct QuestionData {
  TokenQuestions train, test;
};

// The choices of a classification, which all of its questions share; empty for other questions.
std::vector<std::string> label_choices(const std::vector<Question>& questions) {
  for (const Question& question : questions) {
    if (question.choices != questions.front().choices) return {};
  }
  return questions.front().choices;
}

QuestionData read_question_data(const FinetuneSettings& s, const TrainedModel& trained) {
  const int64_t context = trained.model->options().context;
  const std::vector<Question> train = read_questions(s.questions);
  const std::vector<Question> test = read_questions(s.test_questions, label_choices(train));
  QuestionData data{encode_questions(train, *trained.tokenizer, context),
                    encode_questions(test, *trained.tokenizer, context)};
  fmt::print("{} training and {} test questions", train.size(), test.size());
  if (data.train.cut + data.test.cut > 0) {
    fmt::print(
        "; {} of them have lost the beginning of their text, because the model's context "
        "is {} tokens",
        data.train.cut + data.test.cut, context);
  }
  fmt::print("\n");
  return data;
}

// The numbers of the questions that `rows` of a part of the training are: drawn at random.
torch::Tensor drawn_questions(const torch::Tensor& rows, int64_t part, int64_t seed, int64_t n) {
  torch::Tensor drawn = rows.to(torch::kCPU).clone();
  auto* numbers = drawn.data_ptr<int64_t>();
  for (int64_t i = 0; i < drawn.size(0); ++i) {
    examples::ExampleRandom random(static_cast<uint64_t>(seed), static_cast<uint64_t>(part),
                                   static_cast<uint64_t>(numbers[i]));
    numbers[i] = random.below(n);
  }
  return drawn;
}

Task question_task(examples::Gpt2& model, const QuestionData& data, const Settings& s,
                   int64_t seed) {
  const torch::Device device(s.common.device);
  const ChoiceSettings choice = s.finetune.choice;
  Task task;
  task.items = "questions";
  task.examples = static_cast<double>(data.train.questions.size());
  task.loss = [&model, &data, device, seed, choice, bf16 = s.common.bf16](const torch::Tensor& rows,
                                                                          int64_t part) {
    const auto& questions = data.train.questions;
    const torch::Tensor drawn =
        drawn_questions(rows, part, seed, static_cast<int64_t>(questions.size()));
    const ChoiceBatch batch = choice_batch(questions, drawn, device);
    const examples::Autocast autocast(device.type(), bf16);
    return choice_loss(model, batch, choice);
  };
  if (s.training.measured == 0) return task;
  task.measure = [&model, &data, choice, bf16 = s.common.bf16] {
    ChoiceTestSettings test;
    test.choice = choice;
    test.bf16 = bf16;
    return score_choices(predict_choices(model, nullptr, data.test.questions, {0}, test).front())
        .to_json();
  };
  return task;
}

// The model to adapt, with adapters where the settings want them.
TrainedModel model_to_adapt(const Settings& s, int64_t seed) {
  TrainedModel trained = load_model(s.trained, s.text.vocabulary, torch::Device(s.common.device),
                                    {Part::kModel, s.model.dropout, s.model.recompute});
  if (trained.lora) {
    throw std::invalid_argument(fmt::format(
        "{0}: holds adapters, to which no others can be added; merge them first with gpt2 export "
        "--trained {0} --out FOLDER",
        s.trained));
  }
  torch::manual_seed(static_cast<uint64_t>(seed));
  if (s.finetune.rank > 0) {
    examples::LoraOptions lora;
    lora.rank = s.finetune.rank;
    lora.alpha = s.finetune.alpha;
    examples::add_lora(*trained.model, lora, static_cast<uint64_t>(seed));
    trained.lora = lora;
  }
  return trained;
}

void save_adapted(const fs::path& folder, const TrainedModel& trained, const Settings& s,
                  const std::optional<ivon::Posterior>& posterior) {
  if (trained.lora) {
    save_adapters(folder, *trained.model, *trained.lora, s.trained, *trained.tokenizer, posterior);
  } else {
    save_model(folder, *trained.model, *trained.tokenizer, posterior);
  }
  fmt::print("Saved in {}\n", folder.string());
}

examples::Json score_questions(const Settings& s, TrainedModel& trained,
                               const std::optional<ivon::Posterior>& posterior,
                               const QuestionData& data, int64_t seed) {
  ChoiceEvaluationSettings settings;
  settings.samples = s.common.samples;
  settings.tau = s.finetune.tau;
  settings.pruned = s.finetune.prune;
  settings.test.choice = s.finetune.choice;
  settings.test.bf16 = s.common.bf16;
  settings.test.seed = static_cast<uint64_t>(seed);
  const std::vector<ChoiceRow> rows = evaluate_choices(
      *trained.model, posterior ? &*posterior : nullptr, data.test.questions, settings);
  fmt::print("\n{}\n", choice_table(rows));
  examples::Json json = examples::Json::array();
  for (const ChoiceRow& row : rows) json.push_back(row.to_json());
  return json;
}

examples::Json score_text(const Settings& s, TrainedModel& trained,
                          std::optional<ivon::Posterior>& posterior, const TextData& data,
                          double before, int64_t seed) {
  std::optional<ivon::Posterior> tempered;
  if (posterior) {
    tempered = posterior->tempered(s.finetune.tau);
    tempered->manual_seed(static_cast<uint64_t>(seed));
  }
  const Validation after =
      validate(*trained.model, tempered, data, s.training.scored, s.common.samples, s.common.bf16);
  fmt::print("Validation loss {:.4f} before, after {}\n", before,
             description(after, s.common.samples));
  examples::Json json = {{"loss_before", before}, {"loss", after.mean}};
  if (after.averaged) json["loss_averaged"] = *after.averaged;
  return json;
}

// What a resumed run must agree in, besides the settings.
examples::Json fingerprint_of(const Settings& s, const examples::Settings& list,
                              const TextData* text) {
  examples::Json fingerprint = list.fingerprint();
  fingerprint["model"] = weights_checksum(s.trained);
  if (text != nullptr) {
    fingerprint["training tokens"] = text->train.size();
  } else {
    fingerprint["questions"] = examples::file_checksum(s.finetune.questions);
  }
  return fingerprint;
}

// The run of a seed. `text` is null for questions.
examples::Json finetune_one(const Settings& s, const examples::Settings& list, const TextData* text,
                            int64_t seed, examples::RunLog& log) {
  TrainedModel trained = model_to_adapt(s, seed);
  examples::Gpt2& model = *trained.model;
  const bool bf16 = s.common.bf16;
  std::optional<QuestionData> questions;
  Task task;
  double before = 0;
  if (text == nullptr) {
    questions = read_question_data(s.finetune, trained);
    task = question_task(model, *questions, s, seed);
  } else {
    check_same_vocabulary(*text, *trained.tokenizer);
    task = next_token_task(model, *text, s.training.measured, seed, bf16);
    std::optional<ivon::Posterior> none;
    before = validate(model, none, *text, s.training.scored, 1, bf16).mean;
  }
  const Run run{s, seed, fingerprint_of(s, list, text), log};
  const Trained result = train_model(model, task, run);
  std::optional<ivon::Posterior> posterior = posterior_of(*result.optimizer, model, seed);
  save_adapted(fs::path(s.common.out) / fmt::format("{}-{}", s.optimizer.name, seed), trained, s,
               posterior);
  return {{"seed", seed},
          {"seconds", result.seconds},
          {"training_loss", result.loss},
          {"scores", questions ? score_questions(s, trained, posterior, *questions, seed)
                               : score_text(s, trained, posterior, *text, before, seed)}};
}

}  // namespace

void finetune(Settings& s, const examples::Settings& list) {
  check_training_settings(s);
  check_other_folder(s.common.out, s.trained);
  std::optional<TextData> text;
  if (s.finetune.questions.empty()) {
    fs::path folder = s.training.data;
    if (folder.empty()) {
      folder = fs::path(s.common.out) / "data";
      TextSettings own = s.text;
      own.tokenizer = "vocabulary";
      if (own.vocabulary.empty()) own.vocabulary = s.trained;
      prepare_text_once(own, folder, s.common.threads);
    }
    text.emplace(open_text_data(folder));
  }
  examples::RunLog log(s.common.out, s.common.resume);
  examples::Json runs = examples::Json::array();
  for (int64_t i = 0; i < s.common.seeds; ++i) {
    runs.push_back(finetune_one(s, list, text ? &*text : nullptr, s.common.seed + i, log));
    examples::write_results(s.common.out, {{"settings", list.to_json()}, {"runs", runs}});
  }
  fmt::print("Peak memory {:.2f} GiB\n", examples::peak_memory_gib());
}

}  // namespace gpt2
