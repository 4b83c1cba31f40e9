#include "agent/images/archive.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/images/limits.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/tar_reader.h"

namespace gantry::agent {
namespace {

constexpr std::string_view manifest_name = "manifest.json";
constexpr std::size_t tar_block_bytes = 512;
constexpr std::size_t shown_bytes_max = 100;

Error no_image(std::string_view why) {
  return Error(ErrorCode::invalid_input, fmt::format("the archive is no image: {}", why),
               "it must be what docker save writes for one image");
}

Error disk_error(std::string_view what) {
  return Error(ErrorCode::unavailable, fmt::format("cannot {} the archive on this node: {}", what,
                                                   std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
}

Result<ArchivedFile> file_of(const ArchiveIndex& index, const json::value& name, std::string_view what) {
  if (!name.is_string()) return no_image(fmt::format("manifest.json does not name its {}", what));
  std::string_view text(name.get_string());
  auto file = find_file(index, text);
  if (!file) return no_image(fmt::format("its {} \"{}\" is missing", what, shorten(text, shown_bytes_max)));
  return *file;
}

std::int64_t padding_of(std::int64_t bytes) {
  constexpr auto block = static_cast<std::int64_t>(tar_block_bytes);
  return (block - bytes % block) % block;
}

/// A number field: octal digits, or base 256 as GNU tar has it for what they cannot hold.
void put_number(std::string& header, std::size_t at, std::size_t width, std::int64_t value) {
  std::string octal = fmt::format("{:0{}o}", value, width - 1);
  if (octal.size() < width) {
    header.replace(at, octal.size(), octal);
    return;
  }
  header[at] = '\x80';
  for (std::size_t i = width - 1; i > 0; --i, value >>= 8) header[at + i] = static_cast<char>(value & 0xff);
}

std::string tar_header(std::string_view name, std::int64_t bytes) {
  std::string header(tar_block_bytes, '\0');
  header.replace(0, name.size(), name);
  put_number(header, 100, 8, 0644);
  put_number(header, 108, 8, 0);
  put_number(header, 116, 8, 0);
  put_number(header, 124, 12, bytes);
  put_number(header, 136, 12, 0);
  header.replace(148, 8, "        ");
  header[156] = '0';
  header.replace(257, 8, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
  return header;
}

/// Texts and parts of the hidden file, one after another.
class PartsBody : public net::BodyReader {
 public:
  struct Part {
    std::string text;   // or, if it is empty:
    ArchivedFile file;  // a part of the hidden file
  };
  PartsBody(Env& env, std::shared_ptr<HiddenFile> file, std::function<void(std::int64_t, std::int64_t)> sent)
      : env_(env), file_(std::move(file)), sent_(std::move(sent)) {}

  void add(std::string text) {
    bytes_ += static_cast<std::int64_t>(text.size());
    if (!text.empty()) parts_.push_back({std::move(text), {}});
  }
  void add(ArchivedFile file) {
    bytes_ += file.bytes;
    if (file.bytes > 0) parts_.push_back({"", file});
  }
  std::int64_t bytes() const { return bytes_; }

  Async<std::string> read_some() override {
    if (at_ == parts_.size()) co_return std::string();
    Part& part = parts_[at_];
    std::string piece = std::move(part.text);
    if (piece.empty()) {
      auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(part.file.bytes, piece_bytes_max));
      piece = co_await env_.blocking(
          [file = file_, offset = part.file.offset, wanted] { return file->read(offset, wanted); });
      part.file.offset += static_cast<std::int64_t>(piece.size());
      part.file.bytes -= static_cast<std::int64_t>(piece.size());
    } else {
      part.file.bytes = 0;
    }
    if (part.file.bytes == 0) ++at_;
    done_ += static_cast<std::int64_t>(piece.size());
    if (sent_) sent_(done_, bytes_);
    co_return piece;
  }

 private:
  Env& env_;
  std::shared_ptr<HiddenFile> file_;
  std::function<void(std::int64_t, std::int64_t)> sent_;
  std::vector<Part> parts_;
  std::size_t at_ = 0;
  std::int64_t bytes_ = 0;
  std::int64_t done_ = 0;
};

std::string layer_name(std::size_t layer) { return fmt::format("layer-{}.tar", layer); }

/// `names` has each layer's place among the files that are sent: those of equal layers are the same.
std::string our_manifest(const std::string& reference, const std::vector<std::size_t>& names) {
  std::string text;
  JsonWriter out(text);
  out.begin_array().begin_object().field("Config", "config.json");
  out.key("RepoTags").begin_array().string(reference).end_array();
  out.key("Layers").begin_array();
  for (std::size_t name : names) out.string(layer_name(name));
  out.end_array().end_object().end_array();
  return text;
}

}  // namespace

HiddenFile::HiddenFile(const std::string& directory, const std::string& name) : directory_(directory) {
  std::string path = directory + "/" + name;
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor_ < 0) throw disk_error("keep");
  ::unlink(path.c_str());
}

HiddenFile::~HiddenFile() { ::close(descriptor_); }

void HiddenFile::check_room() const {
  struct ::statvfs disk{};
  if (::statvfs(directory_.c_str(), &disk) != 0) throw disk_error("keep");
  auto free = static_cast<std::int64_t>(disk.f_bavail) * static_cast<std::int64_t>(disk.f_frsize);
  if (free >= disk_free_bytes_min) return;
  throw Error(ErrorCode::unavailable,
              fmt::format("this node's disk has no room for the archive: {} are free", format_bytes(free)),
              "make room on the disk with the agent's data directory");
}

void HiddenFile::append(std::string_view bytes) {
  if (checked_ < 0 || bytes_ - checked_ >= disk_check_bytes) {
    check_room();
    checked_ = bytes_;
  }
  while (!bytes.empty()) {
    ssize_t wrote = ::pwrite(descriptor_, bytes.data(), bytes.size(), bytes_);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) throw disk_error("keep");
    bytes_ += wrote;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

std::string HiddenFile::read(std::int64_t offset, std::size_t bytes) const {
  std::string piece(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    ssize_t more = ::pread(descriptor_, piece.data() + got, bytes - got, offset + static_cast<std::int64_t>(got));
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) throw disk_error("read");
    got += static_cast<std::size_t>(more);
  }
  return piece;
}

std::optional<std::string> archive_name(std::string_view name) {
  std::string clean;
  if (name.starts_with('/')) return std::nullopt;
  while (!name.empty()) {
    std::size_t slash = std::min(name.find('/'), name.size());
    std::string_view part = name.substr(0, slash);
    name.remove_prefix(std::min(slash + 1, name.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (clean.empty()) return std::nullopt;
      std::size_t last = clean.rfind('/');
      clean.resize(last == std::string::npos ? 0 : last);
      continue;
    }
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  if (clean.empty()) return std::nullopt;
  return clean;
}

std::optional<ArchivedFile> find_file(const ArchiveIndex& index, std::string_view name) {
  auto clean = archive_name(name);
  for (std::size_t links = 0; clean && links <= archive_links_max; ++links) {
    if (auto file = index.files.find(*clean); file != index.files.end()) return file->second;
    auto link = index.links.find(*clean);
    if (link == index.links.end()) return std::nullopt;
    clean = link->second;
  }
  return std::nullopt;
}

Result<ArchivedImage> read_manifest(const ArchiveIndex& index, std::string_view manifest) {
  auto document = parse_json(manifest);
  if (!document) return no_image("manifest.json is not JSON");
  const json::array* images = document.value().if_array();
  if (!images || images->empty()) return no_image("manifest.json names none");
  if (images->size() > 1) return no_image(fmt::format("it holds {} images, and must hold one", images->size()));
  const json::object* object = images->front().if_object();
  const json::value* config = object ? object->if_contains("Config") : nullptr;
  const json::value* layers = object ? object->if_contains("Layers") : nullptr;
  const json::array* list = layers ? layers->if_array() : nullptr;
  if (!config || !list) return no_image("manifest.json has no Config or no Layers");
  if (list->size() > image_layers_max) return no_image(fmt::format("it has {} layers", list->size()));
  ArchivedImage image;
  TRY(image.config, file_of(index, *config, "configuration"));
  for (const json::value& layer : *list) {
    TRY(ArchivedFile file, file_of(index, layer, "layer"));
    image.layers.push_back(file);
  }
  return image;
}

Async<SpooledArchive> spool_archive(Env& env, std::string directory, std::shared_ptr<net::BodyReader> tar) {
  SpooledArchive archive;
  archive.file = std::make_shared<HiddenFile>(directory, fmt::format("image-{:016x}", env.random()));
  engine::TarReader reader(tar);
  std::size_t entries = 0;
  while (auto entry = co_await reader.next()) {
    if (++entries > archive_entries_max) {
      throw Error(ErrorCode::too_large, fmt::format("the archive has more than {} files", archive_entries_max));
    }
    auto name = archive_name(entry->name);
    if (!name) continue;
    archive.index.files.erase(*name);
    archive.index.links.erase(*name);
    if (entry->type == engine::TarEntryType::file) {
      ArchivedFile file{archive.file->bytes(), entry->bytes};
      for (;;) {
        std::string piece = co_await reader.read_some();
        if (piece.empty()) break;
        co_await env.blocking([file_on_disk = archive.file, bytes = std::move(piece)] { file_on_disk->append(bytes); });
      }
      archive.index.files[*name] = file;
      continue;
    }
    bool symbolic = entry->type == engine::TarEntryType::symbolic_link;
    if (!symbolic && entry->type != engine::TarEntryType::hard_link) continue;
    // A symbolic link starts from its own folder, a hard one from the top.
    std::size_t folder = symbolic ? name->rfind('/') : std::string::npos;
    std::string from = folder == std::string::npos ? "" : name->substr(0, folder + 1);
    bool absolute = entry->link_target.starts_with('/');
    if (auto target = archive_name(from + entry->link_target); target && !absolute) {
      archive.index.links[*name] = std::move(*target);
    }
  }
  // What stands behind the archive's end belongs to the bytes that are counted and summed up.
  for (;;) {
    std::string rest = co_await tar->read_some();
    if (rest.empty()) break;
  }
  co_return archive;
}

Async<ArchivedImage> find_image(Env& env, SpooledArchive archive) {
  auto found = find_file(archive.index, manifest_name);
  if (!found) throw no_image("it has no manifest.json");
  if (found->bytes > static_cast<std::int64_t>(manifest_bytes_max)) throw no_image("its manifest.json is too large");
  std::string manifest = co_await env.blocking([file = archive.file, place = *found] {
    return file->read(place.offset, static_cast<std::size_t>(place.bytes));
  });
  co_return value_or_throw(read_manifest(archive.index, manifest));
}

ImageTar rewritten(Env& env, const SpooledArchive& archive, const ArchivedImage& image, const std::string& reference,
                   std::function<void(std::int64_t, std::int64_t)> sent) {
  std::vector<ArchivedFile> files;
  std::vector<std::size_t> names;
  for (const ArchivedFile& layer : image.layers) {
    auto known = std::ranges::find(files, layer);
    names.push_back(static_cast<std::size_t>(known - files.begin()));
    if (known == files.end()) files.push_back(layer);
  }
  auto body = std::make_shared<PartsBody>(env, archive.file, std::move(sent));
  std::string manifest = our_manifest(reference, names);
  auto manifest_bytes = static_cast<std::int64_t>(manifest.size());
  body->add(tar_header(manifest_name, manifest_bytes) + manifest +
            std::string(static_cast<std::size_t>(padding_of(manifest_bytes)), '\0'));
  auto add_file = [&](const std::string& name, const ArchivedFile& file) {
    body->add(tar_header(name, file.bytes));
    body->add(file);
    body->add(std::string(static_cast<std::size_t>(padding_of(file.bytes)), '\0'));
  };
  add_file("config.json", image.config);
  for (std::size_t i = 0; i < files.size(); ++i) add_file(layer_name(i), files[i]);
  body->add(std::string(2 * tar_block_bytes, '\0'));
  std::int64_t bytes = body->bytes();
  return {std::move(body), bytes};
}

}  // namespace gantry::agent
