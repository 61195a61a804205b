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
  if (s.test_questions.empty()) {
    throw std::invalid_argument(
        "--test-questions must name a JSONL file with other questions than --questions, but is not "
        "given");
  }
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
  TrainedModel trained = load_model(s.trained, s.text.vocabulary, torch::Device(s.common.device));
  if (trained.lora) {
    throw std::invalid_argument(
        s.trained +
        ": holds adapters, to which no others can be added; merge them first with "
        "gpt2 export --trained " +
        s.trained + " --out FOLDER");
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
  settings.tau = s.finetune.temperature;
  settings.pruned = s.finetune.prune;
  settings.test = {s.finetune.choice, 16, s.common.bf16, static_cast<uint64_t>(seed)};
  const std::vector<ChoiceRow> rows = evaluate_choices(
      *trained.model, posterior ? &*posterior : nullptr, data.test.questions, settings);
  fmt::print("\n{}\n", choice_table(rows));
  examples::Json json = examples::Json::array();
  for (const ChoiceRow& row : rows) json.push_back(row.to_json());
  return json;
}

examples::Json score_text(const Settings& s, TrainedModel& trained,
                          std::optional<ivon::Posterior>& posterior, const TextData& data,
                          double before) {
  std::optional<ivon::Posterior> tempered;
  if (posterior) tempered = posterior->tempered(s.finetune.temperature);
  const Validation after =
      validate(*trained.model, tempered, data, s.training.scored, s.common.samples, s.common.bf16);
  fmt::print("Validation loss {:.4f} before, {:.4f} after", before, after.mean);
  examples::Json json = {{"loss_before", before}, {"loss", after.mean}};
  if (after.averaged) {
    fmt::print(" at the mean, {:.4f} averaged over {} samples", *after.averaged, s.common.samples);
    json["loss_averaged"] = *after.averaged;
  }
  fmt::print("\n");
  return json;
}

// One run for a seed. `text` and `questions`: one of the two is null.
examples::Json finetune_one(Settings& s, const examples::Settings& list, const TextData* text,
                            int64_t seed, examples::RunLog& log) {
  TrainedModel trained = model_to_adapt(s, seed);
  std::optional<QuestionData> questions;
  if (text == nullptr) questions = read_question_data(s.finetune, trained);
  const bool bf16 = s.common.bf16;
  const int64_t context = trained.model->options().context;
  const Task task =
      questions ? question_task(*trained.model, *questions, s, seed)
                : next_token_task(*trained.model, *text, context, s.training.measured, seed, bf16);
  std::optional<ivon::Posterior> none;
  const double before =
      text == nullptr ? 0 : validate(*trained.model, none, *text, s.training.scored, 1, bf16).mean;
  const Run run{s, s.optimizer.name, seed, list.fingerprint(), log};
  const Trained result = train_model(*trained.model, task, run);
  std::optional<ivon::Posterior> posterior = posterior_of(*result.optimizer, *trained.model);
  save_adapted(fs::path(s.common.out) / fmt::format("{}-{}", run.name, seed), trained, s,
               posterior);
  return {{"seed", seed},
          {"seconds", result.seconds},
          {"training_loss", result.loss},
          {"scores", questions ? score_questions(s, trained, posterior, *questions, seed)
                               : score_text(s, trained, posterior, *text, before)}};
}

}  // namespace

void finetune(Settings& s, const examples::Settings& list) {
  std::optional<TextData> text;
  if (s.finetune.questions.empty()) {
    fs::path folder = s.training.data;
    if (folder.empty()) {
      folder = fs::path(s.common.out) / "data";
      TextSettings own = s.text;
      own.tokenizer = "vocabulary";
      if (own.vocabulary.empty()) own.vocabulary = s.trained;
      prepare_text(own, folder, s.common.threads);
    }
    text.emplace(open_text_data(folder));
  }
  examples::RunLog log(s.common.out, s.common.resume);
  examples::Json runs = examples::Json::array();
  for (int64_t i = 0; i < s.common.seeds; ++i) {
    runs.push_back(finetune_one(s, list, text ? &*text : nullptr, s.common.seed + i, log));
  }
  fmt::print("Peak memory {:.2f} GiB\n", examples::peak_memory_gib());
  examples::write_results(s.common.out, {{"settings", list.to_json()}, {"runs", runs}});
}

}  // namespace gpt2
