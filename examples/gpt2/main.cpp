// SPDX-License-Identifier: Apache-2.0
// GPT-2: train, adapt, score and use a language model, with IVON or another optimizer.
//
// Purpose  a language model on your own text, with the uncertainty that a posterior over its
//          weights gives; from a text file to generated text without Python
// Data     any text; the default is the King James Bible of Debian's bible-kjv-text
// Command  gpt2 train --text FILE --out OUT      prepares, trains, scores, prints some text
//          gpt2 generate --trained OUT/ivon-1 --prompt "In the" --from average --uncertainty
//          gpt2 perplexity --trained OUT/ivon-1 --text FILE
//          gpt2 finetune --trained OUT/ivon-1 --text OTHER --out ADAPTED
//          gpt2 export --trained ADAPTED/ivon-1 --out FOLDER    for Python's transformers
//          gpt2 train --smoke                    seconds: only shows that everything runs
// Output   the model, its posterior, log.jsonl and results.json in --out; the README has real runs
//
// The loop is in steps.cpp, the model in common/models/gpt2.cpp, the tokenizer in common/text.
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "common/program.hpp"
#include "settings.hpp"

namespace {

using gpt2::Settings;
using List = examples::Settings;

examples::Program command(const std::string& name, const std::string& description, Settings& s,
                          const std::string& out, std::set<std::string> without,
                          void (*add_settings)(List& list, Settings& s),
                          std::function<void(const List&)> run) {
  examples::Program program{name, description, s.common, std::move(without), {}, {}, {}};
  program.add_settings = [&s, add_settings](List& list) { add_settings(list, s); };
  program.smoke = [&s] { make_short(s); };
  program.run = std::move(run);
  program.out = out;
  return program;
}

std::vector<examples::Program> commands(Settings& s, std::vector<std::string>& files) {
  using Names = std::set<std::string>;
  const Names of_text = {"seeds", "device", "bf16", "samples", "resume"};
  Names of_tokens = of_text, of_preparation = of_text;
  of_tokens.insert({"seed", "out"});
  of_preparation.insert("seed");
  std::vector<examples::Program> all = {
      command("prepare", "makes token files and a vocabulary from a text", s, "gpt2_data",
              of_preparation, gpt2::add_prepare_settings, [&s](const List&) { prepare(s); }),
      command("train", "trains a model on a text, scores and saves it", s, "gpt2_results", {},
              gpt2::add_training_settings, [&s](const List& list) { train(s, list); }),
      command("generate", "writes text", s, "", {"seeds", "resume", "out", "bf16"},
              gpt2::add_generation_settings, [&s](const List&) { generate(s); }),
      command("perplexity", "scores how well a model predicts a text", s, "gpt2_perplexity",
              {"seeds", "resume"}, gpt2::add_perplexity_settings,
              [&s](const List& list) { perplexity(s, list); }),
      command("finetune", "adapts a trained model to a text or to questions", s, "gpt2_finetuned",
              {}, gpt2::add_finetuning_settings, [&s](const List& list) { finetune(s, list); }),
      command("questions", "makes multiple-choice questions from a text", s, "gpt2_questions",
              of_text, gpt2::add_question_settings, [&s](const List&) { questions(s); }),
      command("export", "writes a model for Python's transformers", s, "gpt2_exported", of_text,
              gpt2::add_export_settings, [&s](const List&) { export_model(s); }),
      command("tokenize", "prints the token ids of text files", s, "", of_tokens,
              gpt2::add_tokenize_settings, [&](const List&) { tokenize(s, files); }),
  };
  all.back().files = &files;
  all.back().files_help = "text files";
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  Settings s;
  std::vector<std::string> files;
  return examples::run_command(argc, argv, "gpt2", "A language model with a posterior",
                               commands(s, files));
}
