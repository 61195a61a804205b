// SPDX-License-Identifier: Apache-2.0
// The files that examples/common/data/image_folder.hpp finds, and its errors.
#include "common/data/image_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "small.hpp"

namespace {

namespace folder_fs = std::filesystem;

using examples_test::error_of;
using FolderFiles = std::vector<folder_fs::path>;

class ImageFolderTest : public testing::Test {
 protected:
  ImageFolderTest()
      : root(folder_fs::temp_directory_path() / ("ivon_folder_" + std::to_string(getpid()))) {
    folder_fs::remove_all(root);
  }
  ~ImageFolderTest() override { folder_fs::remove_all(root); }

  // An image's file with the folders above it. Its content is not read here.
  folder_fs::path put(const char* name) const {
    folder_fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << "x";
    return root / name;
  }

  folder_fs::path root;
};

TEST_F(ImageFolderTest, SaysWhatIsMissing) {
  const std::string name = root.string();
  const auto error = [&](std::vector<std::string> classes = {}) {
    return error_of([&] { examples::ImageFolder(root, classes); });
  };
  EXPECT_EQ(error(), name +
                         ": cannot be read as a folder of images (No such file or directory); "
                         "check its name and its permissions");
  folder_fs::create_directories(root / ".hidden");
  EXPECT_EQ(error(), name + ": must have one folder of JPEG or PNG files for each class, such as " +
                         name + "/cat/1.jpg, but has no folders");
  folder_fs::create_directories(root / "cat");
  EXPECT_EQ(error(), name +
                         "/cat: must have at least 1 JPEG or PNG file, because its name is a "
                         "class; remove the folder or add images");
  folder_fs::create_directories(root / "cat" / "below");
  std::ofstream(root / "cat" / "below" / "2.JPEG") << "x";
  std::ofstream(root / "cat" / "1.png") << "x";
  std::ofstream(root / "cat" / "notes.txt") << "x";
  const examples::ImageFolder folder(root);
  EXPECT_EQ(folder.files(), (std::vector<folder_fs::path>{root / "cat" / "1.png",
                                                          root / "cat" / "below" / "2.JPEG"}));
  EXPECT_EQ(error({"ant", "dog"}), name +
                                       ": has folders that are no classes of the training set: "
                                       "cat; remove or rename them; the classes are ant, dog");
  EXPECT_EQ(error({"ant", "cat"}), name +
                                       "/ant: must be a folder with at least 1 JPEG or PNG "
                                       "file, because the training set has this class; add it");
}

TEST_F(ImageFolderTest, ReadsEachFolderOnceWhereLinksLeadBack) {
  const FolderFiles expected = {put("cat/1.png"), put("cat/below/2.png")};
  folder_fs::create_directory_symlink(root / "cat", root / "cat" / "below" / "up");
  folder_fs::create_directory_symlink(root / "cat" / "below", root / "cat" / "below2");
  folder_fs::create_symlink(root / "nowhere", root / "cat" / "3.png");
  EXPECT_EQ(examples::image_files(root / "cat"), expected);
}

TEST_F(ImageFolderTest, FollowsLinksToOtherFolders) {
  put("elsewhere/1.png");
  folder_fs::create_directories(root / "cats");
  folder_fs::create_directory_symlink(root / "elsewhere", root / "cats" / "more");
  EXPECT_EQ(examples::image_files(root / "cats"), FolderFiles{root / "cats" / "more" / "1.png"});
}

TEST_F(ImageFolderTest, LeavesOutWhatIsHidden) {
  const FolderFiles expected = {put("cat/1.png")};
  put("cat/._1.png");
  put("cat/.thumbnails/1.png");
  EXPECT_EQ(examples::image_files(root / "cat"), expected);
}

TEST_F(ImageFolderTest, TheKnownClassesNeedNoOrder) {
  put("ant/1.png");
  put("cat/2.png");
  const examples::ImageFolder folder(root, {"cat", "ant"});
  EXPECT_EQ(folder.targets, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(folder.files().front(), root / "cat" / "2.png");
}

TEST_F(ImageFolderTest, AMissingFolderIsNamed) {
  EXPECT_THAT(error_of([&] { examples::image_files(root / "none"); }),
              testing::StartsWith((root / "none").string() + ": cannot be read as a folder"));
}

}  // namespace
