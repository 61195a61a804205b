// SPDX-License-Identifier: Apache-2.0
#include "drop_in/task.hpp"

namespace drop_in {

const std::vector<Task>& tasks() {
  static const std::vector<Task> all = [] {
    std::vector<Task> list;
    const auto add = [&](const char* name, const char* merit, Result (*train)(const Run&)) {
      list.emplace_back();
      list.back().name = name;
      list.back().merit = merit;
      list.back().train = train;
      return &list.back();
    };
    add("mlp", "error rate", train_mlp);
    add("cnn", "error rate", train_cnn);
    add("lstm", "error rate", train_lstm);
    add("char_transformer", "validation loss", train_char_transformer);
    add("word_model", "validation loss", train_word_model)->set_aside = true;
    add("vae", "negative ELBO", train_vae)->set_aside = true;
    add("gan", "Frechet distance", train_gan)->seeds = 5;
    Task* ppo = add("ppo", "mean return", train_ppo);
    ppo->seeds = 5;
    ppo->higher_is_better = true;
    add("table", "RMSE", train_table);
    add("finetune", "error rate", train_finetune);
    add("deep_mlp", "error rate", train_deep_mlp);
    add("embedding", "validation loss", train_embedding);
    return list;
  }();
  return all;
}

}  // namespace drop_in
