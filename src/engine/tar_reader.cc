#include "engine/tar_reader.h"

#include <algorithm>

#include <fmt/core.h>

namespace gantry::engine {

namespace {

constexpr std::size_t block_bytes = 512;
constexpr std::size_t name_bytes_max = 4096;
constexpr std::int64_t meta_bytes_max = 64 * 1024;               // one extension header
constexpr int meta_headers_max = 8;                              // in front of one entry
constexpr std::int64_t entry_bytes_max = std::int64_t{1} << 50;  // 1 PB
constexpr std::int64_t drained_bytes_max = 1 << 20;              // after the end: writers fill up their last record

struct Field {
  std::size_t at;
  std::size_t bytes;
};
constexpr Field name_field{0, 100}, mode_field{100, 8}, size_field{124, 12}, checksum_field{148, 8}, type_field{156, 1},
    link_field{157, 100}, magic_field{257, 6}, prefix_field{345, 155};

[[noreturn]] void damaged(std::string_view what) {
  throw Error(ErrorCode::corrupt, fmt::format("tar archive is damaged: {}", what));
}

std::string_view field_of(std::string_view block, Field field) { return block.substr(field.at, field.bytes); }

std::string text_of(std::string_view block, Field field) {
  std::string_view text = field_of(block, field);
  return std::string(text.substr(0, text.find('\0')));
}

/// Octal digits, or GNU's base 256 if the first bit is set. Never negative, never over entry_bytes_max.
std::int64_t number_of(std::string_view block, Field field, std::string_view what) {
  std::string_view text = field_of(block, field);
  std::int64_t value = 0;
  if (static_cast<unsigned char>(text[0]) & 0x80) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      int byte = static_cast<unsigned char>(text[i]) & (i == 0 ? 0x7f : 0xff);
      if (value > (entry_bytes_max >> 8)) damaged(fmt::format("{} is out of range", what));
      value = value << 8 | byte;
    }
    return value;
  }
  std::size_t at = std::min(text.find_first_not_of(' '), text.size());
  for (; at < text.size() && text[at] >= '0' && text[at] <= '7'; ++at) {
    if (value > (entry_bytes_max >> 3)) damaged(fmt::format("{} is out of range", what));
    value = value << 3 | (text[at] - '0');
  }
  if (text.find_first_not_of(std::string_view(" \0", 2), at) != std::string_view::npos) {
    damaged(fmt::format("{} is not a number", what));
  }
  return value;
}

/// The sum over the header with blanks in place of itself; old writers summed signed chars.
void check_sum(std::string_view block) {
  std::int64_t stated = number_of(block, checksum_field, "a checksum");
  std::int64_t sum = 0;
  std::int64_t signed_sum = 0;
  for (std::size_t i = 0; i < block_bytes; ++i) {
    bool inside = i >= checksum_field.at && i < checksum_field.at + checksum_field.bytes;
    char c = inside ? ' ' : block[i];
    sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  if (stated != sum && stated != signed_sum) damaged("a header's checksum is wrong");
}

std::string checked_name(std::string name, std::string_view what) {
  if (name.size() > name_bytes_max) {
    throw Error(ErrorCode::too_large,
                fmt::format("tar archive has {} of {} bytes; the limit is {}", what, name.size(), name_bytes_max));
  }
  if (name.empty()) damaged(fmt::format("{} is empty", what));
  if (name.find('\0') != std::string::npos) damaged(fmt::format("{} has a NUL in it", what));
  return name;
}

TarEntryType type_of(char flag, std::string_view name) {
  switch (flag) {
    case '0':
    case '\0':
    case '7': return name.ends_with('/') && flag == '\0' ? TarEntryType::directory : TarEntryType::file;
    case '1': return TarEntryType::hard_link;
    case '2': return TarEntryType::symbolic_link;
    case '5': return TarEntryType::directory;
    default: return TarEntryType::other;
  }
}

/// Links, devices, directories and pipes have no content, whatever their size field says.
bool has_content(char flag) { return flag < '1' || flag > '6'; }

std::int64_t padding_of(std::int64_t bytes) {
  return static_cast<std::int64_t>(block_bytes - 1) -
         (bytes + static_cast<std::int64_t>(block_bytes) - 1) % static_cast<std::int64_t>(block_bytes);
}

std::int64_t parse_decimal(std::string_view text, std::string_view what) {
  std::int64_t value = 0;
  if (text.empty()) damaged(fmt::format("{} is empty", what));
  for (char c : text) {
    if (c < '0' || c > '9') damaged(fmt::format("{} is not a number", what));
    value = value * 10 + (c - '0');
    if (value > entry_bytes_max) damaged(fmt::format("{} is out of range", what));
  }
  return value;
}

bool is_zero(std::string_view block) {
  return std::ranges::all_of(block, [](char c) { return c == '\0'; });
}

}  // namespace

Async<std::optional<TarEntry>> TarReader::next() {
  if (ended_) co_return std::nullopt;
  co_await skip(content_left_ + padding_left_);
  content_left_ = padding_left_ = 0;
  for (int meta_headers = 0;; ++meta_headers) {
    if (!co_await read_block()) damaged("it ends without an end mark");
    if (is_zero(block_)) {
      if (meta_headers > 0) damaged("an extension header stands in front of nothing");
      if (co_await read_block() && !is_zero(block_)) damaged("it goes on behind its end mark");
      co_await drain();
      ended_ = true;
      co_return std::nullopt;
    }
    check_sum(block_);
    char flag = block_[type_field.at];
    std::int64_t bytes = number_of(block_, size_field, "a size");
    if (flag == 'S') throw Error(ErrorCode::unsupported, "tar archive has a GNU sparse file");
    if (flag == 'x' || flag == 'g' || flag == 'L' || flag == 'K') {
      if (meta_headers == meta_headers_max) damaged("too many extension headers in front of one entry");
      std::string meta = co_await read_meta(bytes);
      if (flag == 'x') parse_pax(meta);
      if (flag == 'L') next_name_ = meta.substr(0, meta.find('\0'));
      if (flag == 'K') next_link_ = meta.substr(0, meta.find('\0'));
      continue;  // 'g' is for all entries to come, and holds comments in practice
    }
    TarEntry entry;
    entry.name = text_of(block_, name_field);
    entry.bytes = bytes;
    apply_extensions(entry);
    entry.type = type_of(flag, entry.name);
    if (!has_content(flag)) entry.bytes = 0;
    entry.mode = static_cast<int>(number_of(block_, mode_field, "a mode") & 07777);
    content_left_ = entry.bytes;
    padding_left_ = padding_of(entry.bytes);
    co_return entry;
  }
}

void TarReader::apply_extensions(TarEntry& entry) {
  // Only POSIX's magic has a prefix there; GNU's ("ustar  ") keeps other things in its place.
  if (field_of(block_, magic_field) == std::string_view("ustar\0", 6)) {
    std::string prefix = text_of(block_, prefix_field);
    if (!prefix.empty()) entry.name = prefix + "/" + entry.name;
  }
  if (next_name_) entry.name = std::move(*next_name_);
  entry.link_target = next_link_ ? std::move(*next_link_) : text_of(block_, link_field);
  if (next_bytes_) entry.bytes = *next_bytes_;
  next_name_.reset();
  next_link_.reset();
  next_bytes_.reset();
  entry.name = checked_name(std::move(entry.name), "a name");
  if (!entry.link_target.empty()) entry.link_target = checked_name(std::move(entry.link_target), "a link");
}

void TarReader::parse_pax(std::string_view records) {
  // "<length of the record in decimal> <key>=<value>\n", the length counting itself.
  while (!records.empty()) {
    std::size_t space = records.substr(0, 8).find(' ');
    if (space == std::string_view::npos) damaged("a pax record has no length");
    auto length = static_cast<std::size_t>(parse_decimal(records.substr(0, space), "a pax record's length"));
    if (length <= space + 1 || length > records.size() || records[length - 1] != '\n') {
      damaged("a pax record's length is wrong");
    }
    std::string_view record = records.substr(space + 1, length - space - 2);
    std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) damaged("a pax record has no value");
    std::string_view key = record.substr(0, equals);
    std::string_view value = record.substr(equals + 1);
    if (key.starts_with("GNU.sparse.")) throw Error(ErrorCode::unsupported, "tar archive has a GNU sparse file");
    if (key == "path") next_name_ = value;
    if (key == "linkpath") next_link_ = value;
    if (key == "size") next_bytes_ = parse_decimal(value, "a pax size");
    records.remove_prefix(length);
  }
}

Async<std::string> TarReader::read_some() {
  if (content_left_ == 0) co_return std::string();
  std::string piece = co_await read_piece(content_left_);
  if (piece.empty()) damaged("it ends inside a file");
  content_left_ -= static_cast<std::int64_t>(piece.size());
  co_return piece;
}

Async<std::string> TarReader::read_piece(std::int64_t bytes_max) {
  if (buffer_at_ == buffer_.size()) {
    buffer_ = co_await archive_->read_some();
    buffer_at_ = 0;
  }
  auto count = static_cast<std::size_t>(
      std::min<std::int64_t>(bytes_max, static_cast<std::int64_t>(buffer_.size() - buffer_at_)));
  std::string piece;
  if (buffer_at_ == 0 && count == buffer_.size()) {
    piece = std::move(buffer_);
    buffer_.clear();
  } else {
    piece = buffer_.substr(buffer_at_, count);
    buffer_at_ += count;
  }
  co_return piece;
}

Async<bool> TarReader::read_block() {
  block_.clear();
  while (block_.size() < block_bytes) {
    std::string piece = co_await read_piece(static_cast<std::int64_t>(block_bytes - block_.size()));
    if (piece.empty()) break;
    block_ += piece;
  }
  if (!block_.empty() && block_.size() < block_bytes) damaged("it ends inside a header");
  co_return !block_.empty();
}

Async<std::string> TarReader::read_meta(std::int64_t bytes) {
  if (bytes > meta_bytes_max) {
    throw Error(ErrorCode::too_large,
                fmt::format("tar archive has an extension header of {} bytes; the limit is {}", bytes, meta_bytes_max));
  }
  std::string meta;
  while (static_cast<std::int64_t>(meta.size()) < bytes) {
    std::string piece = co_await read_piece(bytes - static_cast<std::int64_t>(meta.size()));
    if (piece.empty()) damaged("it ends inside an extension header");
    meta += piece;
  }
  co_await skip(padding_of(bytes));
  co_return meta;
}

Async<> TarReader::skip(std::int64_t bytes) {
  while (bytes > 0) {
    std::string piece = co_await read_piece(bytes);
    if (piece.empty()) damaged("it ends inside a file");
    bytes -= static_cast<std::int64_t>(piece.size());
  }
}

Async<> TarReader::drain() {
  // Reading to the very end lets a connection be used again.
  std::int64_t left = drained_bytes_max;
  while (left > 0) {
    std::string piece = co_await read_piece(left);
    if (piece.empty()) co_return;
    left -= static_cast<std::int64_t>(piece.size());
  }
}

namespace {

class TarEntryBody : public net::BodyReader {
 public:
  explicit TarEntryBody(std::shared_ptr<TarReader> reader) : reader_(std::move(reader)) {}
  Async<std::string> read_some() override { co_return co_await reader_->read_some(); }

 private:
  std::shared_ptr<TarReader> reader_;
};

}  // namespace

std::shared_ptr<net::BodyReader> tar_entry_body(std::shared_ptr<TarReader> reader) {
  return std::make_shared<TarEntryBody>(std::move(reader));
}

}  // namespace gantry::engine
