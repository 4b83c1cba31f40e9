#!/bin/sh
# Counts the words of all files under /input: a line for each folder while it works, all words with their counts in
# /words.txt at the end. Runs in scripts/quickstart's example image (busybox).
set -eu
cd /input
echo "counting words in $(find . -type f | wc -l) files, $(du -sm . | cut -f1) MB"
mkdir /tmp/counts
for folder in usr/share/*; do
  find "$folder" -type f -exec cat {} + | tr -cs '[:alpha:]' '\n' | tr '[:upper:]' '[:lower:]' | sort | uniq -c > /tmp/counts/part
  echo "$(awk '{ n += $1 } END { print n + 0 }' /tmp/counts/part) words in $folder"
  cat /tmp/counts/part >> /tmp/counts/all
done
awk '{ n[$2] += $1 } END { for (word in n) print n[word], word }' /tmp/counts/all | sort -rn > /words.txt
echo "$(wc -l < /words.txt) different words; the ten most frequent:"
head -n 10 /words.txt
