// SPDX-License-Identifier: Apache-2.0
// GPT-2: train, adapt, score and use a language model, with IVON or another optimizer.
//
// Purpose  a language model on your own text, with the uncertainty that a posterior over the
// weights
//          gives; from a text file to generated text without Python
// Data     any text; the default is the King James Bible of Debian's bible-kjv-text
// Command  gpt2 train --text FILE --out OUT           prepares, trains, scores, prints some text
//          gpt2 generate --trained OUT/ivon-1 --prompt "In the beginning" --uncertainty
//          gpt2 perplexity --trained OUT/ivon-1 --text FILE
//          gpt2 finetune --trained OUT/ivon-1 --text OTHER --out ADAPTED
//          gpt2 export --trained ADAPTED/ivon-1 --out FOLDER       for Python's transformers
//          gpt2 train --smoke                         seconds: only shows that everything runs
// Output   the model, its posterior, log.jsonl and results.json in --out. This folder's README
// shows
//          real runs.
//
// The loop is in steps.cpp, the model in common/models/gpt2.cpp, the tokenizer in common/text.
#include <string>
#include <vector>

#include "commands.hpp"
#include "common/program.hpp"
#include "settings.hpp"

namespace {

using gpt2::Settings;
using List = examples::Settings;

examples::Program command(const std::string& name, const std::string& description, Settings& s,
                          std::set<std::string> without,
                          void (*add_settings)(List& list, Settings& s),
                          std::function<void(const List&)> run) {
  examples::Program program{name, description, s.common, std::move(without), {}, {}, {}};
  program.add_settings = [&s, add_settings](List& list) { add_settings(list, s); };
  program.smoke = [&s] { make_short(s); };
  program.run = std::move(run);
  return program;
}

std::vector<examples::Program> commands(Settings& s, std::vector<std::string>& files) {
  std::vector<examples::Program> all = {
      command("prepare", "makes token files and a vocabulary from a text", s,
              {"seeds", "seed", "device", "bf16", "samples", "resume"}, gpt2::add_prepare_settings,
              [&s](const List&) { gpt2::prepare(s); }),
      command("tokenize", "prints the token ids of text files", s,
              {"seeds", "seed", "device", "bf16", "samples", "resume", "out"},
              gpt2::add_tokenize_settings, [&](const List&) { gpt2::tokenize(s, files); }),
      command("train", "trains a model on a text, scores and saves it", s, {},
              gpt2::add_training_settings, [&s](const List& list) { gpt2::train(s, list); }),
      command("finetune", "adapts a trained model to a text or to questions", s, {},
              gpt2::add_finetuning_settings, [&s](const List& list) { gpt2::finetune(s, list); }),
      command("generate", "writes text", s, {"seeds", "resume", "out"},
              gpt2::add_generation_settings, [&s](const List&) { gpt2::generate(s); }),
      command("perplexity", "scores how well a model predicts a text", s, {"seeds", "resume"},
              gpt2::add_perplexity_settings, [&s](const List& list) { gpt2::perplexity(s, list); }),
      command("export", "writes a model for Python's transformers", s,
              {"seeds", "resume", "device", "bf16", "samples"}, gpt2::add_export_settings,
              [&s](const List&) { gpt2::export_model(s); }),
  };
  all[1].files = &files;
  all[1].files_help = "text files";
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  Settings s;
  std::vector<std::string> files;
  return examples::run_command(argc, argv, "gpt2", "A language model with a posterior",
                               commands(s, files));
}
