// SPDX-License-Identifier: Apache-2.0
// The triage of examples/image_classification: the table, the captions and the thumbnails; how its
// learning curves are read from a log; and examples/common/data/png_writer.hpp.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/data/png.hpp"
#include "common/data/png_writer.hpp"
#include "common/gnuplot.hpp"
#include "image_classification/contact_sheet.hpp"
#include "image_classification/curves.hpp"
#include "image_classification/triage_list.hpp"
#include "small.hpp"

namespace {

using image_classification::csv_field;
using image_classification::shortened;
using image_classification::Triaged;

torch::Tensor triage_pixels(int64_t height, int64_t width) {
  return torch::arange(height * width * 3).remainder(251).to(torch::kByte).view({height, width, 3});
}

TEST(PngWriter, WritesWhatReadPngReads) {
  const examples_test::Folder folder("png_writer");
  const torch::Tensor pixels = triage_pixels(5, 7);
  examples::write_png(folder.path / "a.png", pixels.transpose(0, 1));  // not contiguous
  const torch::Tensor read = examples::read_png(folder.path / "a.png");
  EXPECT_TRUE(torch::equal(read.slice(2, 0, 3), pixels.transpose(0, 1)));
  EXPECT_EQ(read.select(2, 3).min().item<int>(), 255);
}

TEST(PngWriter, NamesTheFileThatCannotBeWritten) {
  const std::string error =
      examples_test::error_of([] { examples::write_png("/nowhere/a.png", triage_pixels(2, 2)); });
  EXPECT_NE(error.find("/nowhere/a.png"), std::string::npos) << error;
}

TEST(PngWriter, RefusesOtherTensors) {
  EXPECT_THROW(examples::write_png("a.png", torch::zeros({2, 2, 3})), std::invalid_argument);
  EXPECT_THROW(examples::write_png("a.png", torch::zeros({2, 2, 4}, torch::kByte)),
               std::invalid_argument);
}

TEST(TriageList, QuotesFieldsByRfc4180) {
  EXPECT_EQ(csv_field("a b.jpg"), "a b.jpg");
  EXPECT_EQ(csv_field("a,b.jpg"), "\"a,b.jpg\"");
  EXPECT_EQ(csv_field("a \"b\".jpg"), "\"a \"\"b\"\".jpg\"");
  EXPECT_EQ(csv_field("a\nb"), "\"a\nb\"");
}

TEST(TriageList, HasALineForEachImage) {
  const std::string csv = image_classification::triage_csv(
      {{"cat/1.png", "cat", 0.5, 0.75, 0.25, "cat"}, {"2.png", "dog", 1, 0, 0, ""}});
  EXPECT_EQ(csv,
            "file,predicted,probability,entropy,mutual_information,class,correct\r\n"
            "cat/1.png,cat,0.500000,0.750000,0.250000,cat,yes\r\n"
            "2.png,dog,1.000000,0.000000,0.000000,,\r\n");
}

TEST(TriageList, BeginsWithTheMostUncertain) {
  std::vector<Triaged> images = {{"b", "", 0, 1, 0}, {"c", "", 0, 2, 0}, {"a", "", 0, 1, 0}};
  image_classification::sort_by_entropy(images);
  EXPECT_EQ(images[0].file, "c");
  EXPECT_EQ(images[1].file, "a");
  EXPECT_EQ(images[2].file, "b");
}

TEST(TriageList, KnowsTheClassFromTheFolder) {
  const std::vector<std::string> classes = {"cat", "dog"};
  EXPECT_EQ(image_classification::class_of_folder("test/dog/1.jpg", classes), "dog");
  EXPECT_EQ(image_classification::class_of_folder("dog/inbox/1.jpg", classes), "");
  const Triaged wrong = {"dog/1.jpg", "cat", 0.6, 0.5, 0, "dog"};
  EXPECT_TRUE(wrong.is_wrong());
}

TEST(ContactSheet, ShortensTextInTheMiddle) {
  EXPECT_EQ(shortened("short.jpg", 9), "short.jpg");
  EXPECT_EQ(shortened("IMG_20240101.jpg", 9), "IMG_….jpg");
  EXPECT_EQ(shortened("äöüäöü", 4), "äö…ü");
  EXPECT_EQ(shortened("a\nb\xFF", 9), "a?b?");
}

TEST(ContactSheet, ShowsTheWholeImageInASquare) {
  const examples_test::Folder folder("thumbnail");
  const auto file = folder.path / "wide.png";
  examples::write_png(file, torch::full({4, 8, 3}, 17, torch::kByte));
  const torch::Tensor square = image_classification::thumbnail(file, 16);
  EXPECT_EQ(square.slice(0, 4, 12).eq(17).all().item<bool>(), true);
  EXPECT_EQ(square.slice(0, 0, 4).eq(17).any().item<bool>(), false);
  EXPECT_EQ(square.slice(0, 12, 16).eq(17).any().item<bool>(), false);
}

TEST(Curves, AreTheLastLinesOfTheEpochsOfOneTraining) {
  const examples_test::Folder folder("curves");
  std::ofstream(folder.path / "log.jsonl")
      << R"({"run":"ivon-0.001-final","seed":2,"epoch":1,"step":5,"seconds":1,"loss":3})"
         "\n"
      << R"({"run":"ivon-0.001-final","seed":2,"epoch":1,"step":9,"seconds":2,"loss":2})"
         "\n"
      << R"({"run":"ivon-0.001-final","seed":2,"epoch":1,"step":9,"seconds":3,"loss":1})"
         "\n"
      << R"({"run":"ivon-0.001-final","seed":1,"epoch":2,"step":18,"seconds":3,"loss":9})"
         "\n"
      << R"({"run":"ivon-0.001-search","seed":2,"epoch":2,"step":18,"seconds":3,"loss":9})"
         "\n"
      << R"({"run":"ivon-0.001-final","seed":2,"epoch":2,"step":18,"loss":null,"test_accu)";
  image_classification::Result result;
  result.optimizer = "ivon";
  result.lr = 0.001;
  result.seed = 2;
  const auto curve = image_classification::read_curve(folder.path / "log.jsonl", result);
  ASSERT_EQ(curve.size(), 1U);
  EXPECT_EQ(curve[0].loss, 1);
  EXPECT_EQ(curve[0].seconds, 3);
  EXPECT_TRUE(std::isnan(curve[0].accuracy));
}

TEST(Curves, DrawIvonLastAndInBlue) {
  std::vector<image_classification::Result> results(3);
  results[0].optimizer = "ivon";
  results[1].optimizer = "adamw";
  results[2].optimizer = "sgd";
  EXPECT_EQ(image_classification::drawing_order(results),
            (std::vector<std::string>{"adamw", "sgd", "ivon"}));
  const auto colours = image_classification::optimizer_colours(results);
  EXPECT_EQ(colours.at("ivon"), examples::kBlue);
  EXPECT_NE(colours.at("adamw"), colours.at("sgd"));
}

}  // namespace
