#include "engine/tar_reader.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "engine/test_loop.h"

namespace gantry::engine {
namespace {

namespace fs = std::filesystem;

class PiecesBody : public net::BodyReader {
 public:
  PiecesBody(std::string bytes, std::size_t piece_bytes) : bytes_(std::move(bytes)), piece_bytes_(piece_bytes) {}
  Async<std::string> read_some() override {
    std::string piece = bytes_.substr(std::min(at_, bytes_.size()), piece_bytes_);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::string bytes_;
  std::size_t piece_bytes_;
  std::size_t at_ = 0;
};

struct Read {
  TarEntry entry;
  std::string content;
};

Async<std::map<std::string, Read>> read_archive(std::string archive, std::size_t piece_bytes) {
  auto reader = std::make_shared<TarReader>(std::make_shared<PiecesBody>(std::move(archive), piece_bytes));
  std::map<std::string, Read> all;
  while (auto entry = co_await reader->next()) {
    auto body = tar_entry_body(reader);
    std::string content = co_await net::read_all(*body, 64u << 20);
    std::string name = entry->name;
    all[name] = Read{std::move(*entry), std::move(content)};
  }
  EXPECT_FALSE(co_await reader->next()) << "the end stays the end";
  co_return all;
}

Async<std::vector<std::string>> read_names(std::string archive) {
  TarReader reader(std::make_shared<PiecesBody>(std::move(archive), 1000));
  std::vector<std::string> names;
  while (auto entry = co_await reader.next()) names.push_back(entry->name);
  co_return names;
}

/// A header block with a right checksum.
std::string header(const std::string& name, char type, std::int64_t bytes) {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  block.replace(100, 8, std::string("0000644\0", 8));
  block.replace(124, 12, fmt::format("{:011o}", bytes) + '\0');
  block.replace(148, 8, "        ");
  block[156] = type;
  block.replace(257, 8, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return block;
}

std::string padded(std::string content) {
  content.resize((content.size() + 511) / 512 * 512, '\0');
  return content;
}

const std::string end_mark(1024, '\0');

class TarReaderTest : public testing::Test {
 protected:
  /// An archive that the system's tar wrote.
  std::string archive_of(const std::string& directory, const std::string& format) {
    std::string path = directory + ".tar";
    std::string command = fmt::format("tar --format={} -cf {} -C {} .", format, path, directory);
    if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
    std::ostringstream bytes;
    bytes << std::ifstream(path).rdbuf();
    fs::remove(path);
    return bytes.str();
  }
  std::optional<ErrorCode> error_of(const std::string& archive) {
    auto error = loop_.error_of_running(read_archive(archive, 700));
    return error ? std::optional(error->code()) : std::nullopt;
  }

  TestLoop loop_;
};

TEST_F(TarReaderTest, ReadsWhatTarWrites) {
  std::string pattern = (fs::temp_directory_path() / "gantry-tar-XXXXXX").string();
  std::string root = ::mkdtemp(pattern.data());
  std::string long_dir(120, 'd');
  std::string long_file(150, 'f');
  std::string split_name = "sub/" + std::string(80, 'p') + "/" + std::string(80, 'q');  // ustar: a prefix and a name
  fs::create_directories(root + "/" + split_name);
  std::string big(200'001, 'x');
  std::ofstream(root + "/a.txt") << "hello";
  std::ofstream(root + "/empty");
  std::ofstream(root + "/sub/big") << big;
  std::ofstream(root + "/sub/grüße") << "hi";
  fs::create_symlink("a.txt", root + "/link");
  fs::create_hard_link(root + "/sub/big", root + "/sub/big2");
  fs::permissions(root + "/a.txt", fs::perms(0750));
  for (std::string format : {"ustar", "gnu", "pax"}) {
    SCOPED_TRACE(format);
    // ustar holds no name part over 100 bytes
    if (format != "ustar") {
      fs::create_directories(root + "/sub/" + long_dir);
      std::ofstream(root + "/sub/" + long_dir + "/" + long_file) << "deep";
    }
    std::string archive = archive_of(root, format);
    for (std::size_t piece_bytes : {1u, 511u, 512u, 4096u, 1u << 20}) {
      auto all = loop_.run(read_archive(archive, piece_bytes));
      EXPECT_EQ(all.at("./").entry.type, TarEntryType::directory);
      EXPECT_EQ(all.at("./a.txt").content, "hello");
      EXPECT_EQ(all.at("./a.txt").entry.mode, 0750);
      EXPECT_EQ(all.at("./a.txt").entry.bytes, 5);
      EXPECT_EQ(all.at("./empty").content, "");
      EXPECT_EQ(all.at("./" + split_name + "/").entry.type, TarEntryType::directory);
      EXPECT_EQ(all.at("./empty").entry.type, TarEntryType::file);
      EXPECT_EQ(all.at("./sub/grüße").content, "hi");
      EXPECT_EQ(all.at("./link").entry.type, TarEntryType::symbolic_link);
      EXPECT_EQ(all.at("./link").entry.link_target, "a.txt");
      bool first = all.at("./sub/big").entry.type == TarEntryType::file;
      EXPECT_EQ(all.at(first ? "./sub/big" : "./sub/big2").content, big);
      EXPECT_EQ(all.at(first ? "./sub/big2" : "./sub/big").entry.type, TarEntryType::hard_link);
      EXPECT_EQ(all.at(first ? "./sub/big2" : "./sub/big").entry.link_target, first ? "./sub/big" : "./sub/big2");
      if (format != "ustar") {
        EXPECT_EQ(all.at("./sub/" + long_dir + "/" + long_file).content, "deep");
      }
      if (piece_bytes == 1 && archive.size() > 300'000) break;
    }
  }
  fs::remove_all(root);
}

TEST_F(TarReaderTest, ContentThatIsNotReadIsSkipped) {
  std::string archive =
      header("a", '0', 1300) + padded(std::string(1300, 'a')) + header("b", '0', 0) + header("c", '5', 0) + end_mark;
  EXPECT_THAT(loop_.run(read_names(archive)), testing::ElementsAre("a", "b", "c"));
}

TEST_F(TarReaderTest, AnEmptyArchiveHasNoEntries) { EXPECT_TRUE(loop_.run(read_archive(end_mark, 100)).empty()); }

TEST_F(TarReaderTest, AnArchiveMayEndAfterOneBlockOfZeros) {
  EXPECT_THAT(loop_.run(read_names(header("a", '0', 0) + std::string(512, '\0'))), testing::ElementsAre("a"));
}

TEST_F(TarReaderTest, ExtensionsBelongToTheNextEntryOnly) {
  std::string pax = "19 path=other name\n17 size=00000003\n";
  std::string archive = header("x", 'x', static_cast<std::int64_t>(pax.size())) + padded(pax) + header("a", '0', 0) +
                        padded("abc") + header("b", '0', 0) + end_mark;
  auto all = loop_.run(read_archive(archive, 100));
  EXPECT_EQ(all.at("other name").content, "abc");
  EXPECT_EQ(all.at("b").content, "");
}

TEST_F(TarReaderTest, SizesOver8GigabytesAreInBase256) {
  std::string block = header("big", '0', 0);
  std::string size(12, '\0');
  size[0] = '\x80';
  size[7] = 3;  // 3 * 2^32
  block.replace(124, 12, size);
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  TarReader reader(std::make_shared<PiecesBody>(block, 512));
  EXPECT_EQ(loop_.run(reader.next())->bytes, 3LL << 32);
  EXPECT_EQ(loop_.error_of_running(reader.next())->code(), ErrorCode::corrupt) << "the content is not there";
}

TEST_F(TarReaderTest, DamageIsRefused) {
  std::string good = header("a", '0', 600) + padded(std::string(600, 'a')) + end_mark;
  ASSERT_EQ(error_of(good), std::nullopt);
  for (std::size_t bytes = 0; bytes <= good.size() - 1024; bytes += 256) {
    EXPECT_EQ(error_of(good.substr(0, bytes)), ErrorCode::corrupt) << "cut off at " << bytes;
  }
  for (std::size_t at : {0u, 124u, 150u, 156u, 300u}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x11);
    EXPECT_EQ(error_of(bad), ErrorCode::corrupt) << "changed at " << at;
  }
  EXPECT_EQ(error_of(header("", '0', 0) + end_mark), ErrorCode::corrupt);
  EXPECT_EQ(error_of(std::string(512, '\0') + header("a", '0', 0)), ErrorCode::corrupt);
  EXPECT_EQ(error_of("<html>" + std::string(600, ' ')), ErrorCode::corrupt);
}

TEST_F(TarReaderTest, BadExtensionsAreRefused) {
  auto with_pax = [](const std::string& records) {
    return header("x", 'x', static_cast<std::int64_t>(records.size())) + padded(records) + header("a", '0', 0) +
           end_mark;
  };
  for (std::string records : {"9 path=ab\n", "99 path=a\n", "path=a\n", "0 path=a\n", "-3 path=a\n", "10 path=ab!",
                              "9 nothing\n", "12 size=-3\n\n", "99999999999999999999 a=b\n"}) {
    EXPECT_EQ(error_of(with_pax(records)), ErrorCode::corrupt) << records;
  }
  EXPECT_EQ(error_of(with_pax("13 size=7e18\n")), ErrorCode::corrupt);
  EXPECT_EQ(error_of(with_pax(std::string("11 path=a\0b\n", 12))), ErrorCode::corrupt);
  EXPECT_EQ(error_of(with_pax("22 GNU.sparse.major=1\n")), ErrorCode::unsupported);
  EXPECT_EQ(error_of(header("s", 'S', 0) + end_mark), ErrorCode::unsupported);
  EXPECT_EQ(error_of(header("x", 'x', 65537) + padded(std::string(65537, 'x'))), ErrorCode::too_large);
  EXPECT_EQ(error_of(header("l", 'L', 5000) + padded(std::string(5000, 'n')) + header("a", '0', 0) + end_mark),
            ErrorCode::too_large);
  std::string many;
  for (int i = 0; i < 9; ++i) many += header("l", 'L', 1) + padded("n");
  EXPECT_EQ(error_of(many + header("a", '0', 0) + end_mark), ErrorCode::corrupt);
}

}  // namespace
}  // namespace gantry::engine
