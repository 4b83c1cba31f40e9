// Keys and messages made with GnuPG 2.2, for tests only.
#pragma once

namespace gantry::agent {

/// In base64: a private key without passphrase, and "plain words" encrypted for it.
inline constexpr const char* openpgp_key =
    "lQOYBGsAjn0BCACmEhc99g+XhfP2IvyfzpC+kpln7SGWh3k52XPbChOtrt/zAtlC6T7ec4W/BJgQG1PA0gYctToZV+vnsPo9IP0Z"
    "Yi5Ps3RNgPNcGLL5nlrjH3+b+iFH0sXxewu0K7/H8WDJDYs9Tqy6ugkZBP1HBq21irSYx/ZMCyorPMiwDDa3ASOZj/HZgKrWez3A"
    "PoXCO2KRWxafbLDK1b+AA+dBWOf+MrDNo2kXtjpGIdXHhzvIYH8SNwjid60ZHfefkix3fZdQYBigA+PlwLVnHIUGGKO5HBdQcfpU"
    "QYLDrYJf2xdVz4JkP4L0AihuFwr4RIb/yewtYW7uAJzImD686th2ii5tABEBAAEAB/oD6Gi9RQUwksQ0YQtic/kU+vHQL796wX0D"
    "9E7VHdjBCAdDZShD+lAdP55V6d+YKsR0RPJENQGFJ3v+IOcqjr8AnL5WksmkVJSlcKau2AqZzfEcnwIEeicSm8t2ixGsEffYk1CD"
    "pKPM5bl2v2wkV+RjjBGG3NcPYAiMfurWtbAzQIe4DYEwo7Rsy1E6KeMfjFiLaetNMn6so08OykdxVusLVnfifhusC/7lCTvx3553"
    "x4wwKNPxzYTM7embjszQRkqRcoMMipmQ6iW3bRJ6r+L+PK1NCihaXErs3c6Dd6LUQxfR2WSuoTX2fnisna1ZX7sGRczT+VKO8tZI"
    "MLVdoZURBADBUCj/1Oofo5q1ZUB8FDgx5kZWDEbKvi2fIJZo/9Ox9DzU0hhCwbBi9h8HHvORDy5wb1YnGdJi3wCva0O1MVPzsCSk"
    "v8n8xaS+NO3mrIclHK0T+NFxrzvLOrJ5jmFrJ3FvAXF5vbSrihrO7TQl9UP0ipuV4KpRJJk3O/B3PBXzGQQA2+xnpu8p8PUAdNqE"
    "T+GBXM8U2ta+ckwuqjEc8cW8JhaL8SBefvtqCCqqzXqHYawpdUz4fffg+kBN1Lp6SJ2ZhZFjvGi8lR5xBNnnsmSTA5WZco3cVt6E"
    "aSD/kGUbjnvnCjzkzOwsd1K++u3ROMcPBHHqNn4NzagiyrAYlSFJNHUD/AwnNkMkqu3F4n3+e8hRLMw5SPQqGYt7zJoCjX1ocykt"
    "BKVPER7gkLkalVOR698++mZVW1z413r/4GaHroypQmGYk1u0CMcO0RJqz0YeEPqTe74ns2imH9DVOl1sX5d5K3a/s5OknFcD0r6W"
    "puzQ2SVdDiP/ib/TqSQHvCmkI4rJRYO0BndvcmtlcokBTgQTAQoAOBYhBF6SwGnW+HvloKce4fXWG8jrqfR5BQJrAI59AhsNBQsJ"
    "CAcCBhUKCQgLAgQWAgMBAh4BAheAAAoJEPXWG8jrqfR5L/sH/0/FyFQ9mDgsPZ2QmvWUcyKlPJzBSoDLAr9TYxCplp8IbsAuVzB6"
    "ypGkiWW99uKkthRIMJxeFL3PrBCwBilmRLnO4fut3lgBrU42z1h8C7XpxgijZYTzP0x0hKa5yVaCBA0P5rXqSWPiz2YnMXslDEm3"
    "hbzWaNO/o2UGG4Ml8nIiVXv7M9W56cZkkvCf3jEZaKenFJNhpL9ERJx77GzaM38yXoN0buw7qcBXd7sTrgfuhLzXpE4C5LYByUd0"
    "Wh9c9vEW+xpc/N7bKREgMy+iN2ccif1gi1vLH4Ir1o1beMQnt9KeW2cXddXMCoJTJ39AKEpriv0GCfTe2jcmKy+JN7w=";
inline constexpr const char* openpgp_message =
    "hQEMA/XWG8jrqfR5AQgAj0GNdKPTybkNhifdHRMU9M8ObMZmKb9NcL/w0W/kV652zhp+cymvfegH4cnxYq0JyE3k0HzoB6gDpS5X"
    "llmQlkth6bLoaJzVMkrGf8wqGNM4VC9Y/GX1w9bAKRNN2N1RjR8ORpYIgDwsv9X3unHng29CMnwDa/LDfBxfk0T5OnzeN5pNSiVE"
    "f3nowYf1UU7d9WsoMxK1QGlAuywliaxeTDvxMbBXgp6asEY01rEUr7Zqm4MA+XOEXhIC4aygx0PpdtKZ1oImGYpwcbo+pHTp/9hX"
    "QkiJbDKYGhJTk3Mv6RtzaAo/RDS7KouImX2AAj/NGOjPY1SbBM7uO8odlF+0+tJGAWxMcrUeIQsCvS0u91WD4CU+SyLWAu/pkiGq"
    "SrsgMz6SqasbdGzX3olcFnSX+vG/wDTfDoZiZRJS+M0K9W9uamCpsk/OYQ==";
/// The same words, without integrity protection.
inline constexpr const char* openpgp_unprotected_message =
    "hQEMA/XWG8jrqfR5AQgAgMcmvgl2u3mwUN8eCKexZmSdwnkyhDlviRnITUkfYdxtH2Bmw7gPfbHB4RYH03ilSmj8fxweo+gyZUv+"
    "MZpWT+C5+SGrbjPWRcnjXgN54CokaeBIUTjW2F8m6Ek7BAD7WuMuc26u/X109qKiFx6uu+DKxdpGW0kkuMqcC7NkpL4HYHrQ1ev3"
    "UgpMKJUIb312vZDRT6JSis7FkVENl/im0BTxgduDahNjWrLjNu/79+MqZX62+HB/e1Cd4J5S8jFdY5Of+gN4Wog8tCQjL9vLP/b9"
    "S5cK4hGbMtNOTOQMpwF9tuUWpGCpLjbfgOdDYOO6VjHpSgHIq+7ITCsTvM7IOskv85iS35wz8C9+oCGb756arvwc/FvOPTwsTKEI"
    "n6IQNqjFkYDtmrNj/iZpHIJ2/zM=";
/// For another key.
inline constexpr const char* openpgp_other_message =
    "hQEMA2WZwPDtAiTVAQgAhE5i9A2ogQRRuDBCP2PIs8byVeFpO8rZSmeZ1qOTsG/qbIM9ZL1e0nYZoNZfbehwrx7rmO2zc8JylBH7"
    "1V5W0pGSRL4wN4V6G4a+sEj2lIttOKW+K5714x/hx5AnblB1bkCmL3F8RFcBcZ/mZS0W4WtSalSlXvEDo3fQCrI3MX0d2sQmHnyr"
    "wc3TPIZkZLmP7/F1f1V1ts/9RMFeGaUP8sKcQjIQKDurfwTDNiiu+z5pXLdMgD3gRrzDWXj4RKOwI07zLYaV41LJ3fH8gZC1LeOf"
    "7orkwuVxUaXfeeyVnnRREKj7DLC4el4s+QcyoXaYwl8+q4JOgC/raJyH0kHEZNJGAcyiCwjFioqdaI8iMGJw6ok0z+t06VLQFIRV"
    "dwFUY1yGvc485xJuiN6KgjTU+zV8wzXghUm1zVGqPoqs+3+RNM9yZGkatQ==";
/// A private key with a passphrase.
inline constexpr const char* openpgp_locked_key =
    "lQPGBGsAjn0BCAD2Jjtzt/PxIvjBqHUENH5PB5+9ItSLOizNi7inWHWzcBufy6dQAUSyzJXBVTdnhjTcAV6StwGoTM3CpTWAa5/E"
    "J82ftqU0o5+NGcNTaXGbeGqXSiXbxjy/G8G6ZqZDwBNQztvwcCknh171Ga7VcmDwWKPv1BrruG7FSX9cM5X2M5tL53ryFpoiTSkM"
    "uVgSpYm7uzdOPqY9sZieHaQ5iZvyzzbL5wJUHJcy2ED3m0fZJ9kN4q263vuLjDwGQwNOOCgUJqIm5YwAiDEhFeUoYcgB6dcAcT6n"
    "7G3AynnX48bPym4JX7ukJyQxLkeN3lsHp9wCnWBFVPUjBPBLNIat1FnHABEBAAH+BwMCRAJLl5w+edL/sL3iLOLP2upwuFPo6fow"
    "N4jsd81JhktWc1ZvGPv2H3ypNooEnoOx9knoJ/0qLeM3z+XDFOc8LzZBIZAe1C3SHm16vnAPL7l4AIcMLeiBjGh/zHdnnTPE+vG3"
    "UGHkvvp+Vr68vct5ePwju06hRvuioGyIuEIM/SmyKm5RIAVLTZYOzMF/Lsb4IX9JYwzhNwA5J9hE5jPS3aiCzj93Lk4TtpjmxTxd"
    "KlU23E0WAETfsSdRqZXH9sv7nu02RGAETc87tzvoGSXcr9mpEff4i1yfjfCL9APsZUjpLD8Nh7PeGpZiviAUbnGUdOrYpcpTFDbW"
    "CM59as4CramOhGSfOmfTGW5syVcGYVrWZUkXpjUw03wW7vLQ8P1X0j1DCe3YnTbQRdSCasZY8DYVYxydaRwsq6/iinAcqMtPPkF/"
    "ssO7Bx7vPM74z921AaoP+SWb6wbnassuwhP+RLP514gm3dB63lryZqvrTlqoXFyGOwRbfwiJfr951ChvXutVZ01sM51Nwv+EicKp"
    "YGKmb/n0ff0hD8zM27L3iT3AGS+L2ju9B94+ZzIJb7DfTxF15XjDyfVpcR7WCrVWtst6skrHM0akIOX7xvSk5JmklKXuc9HvsANk"
    "zokDtNYAc32l5PiXEPJD+9mA7EhI8f3loLIzsNaARjoChZ9UUWcUBWuM7X15PbB/o33H1pqgEqjxP/QjAmZd7ChPfahECFS9UHfG"
    "yjat2U52GhP619U8tDj5FP57YBHQcNVJhC7K3AHOfjXjJBN0bXT+h3s7I8A7xHst/nNf6lGqy7R7TZ5OUbyp7v1xoFH9e6kdoK1D"
    "cGeCk/pdWrTe89rx33aXEUeB7we0E2iD4ZPlFsD5vDnTtyUvHdPagsIveEbEwQo2I1GU/N0IJarh6jDj7i4L8FMK0z70tAlwcm90"
    "ZWN0ZWSJAU4EEwEKADgWIQQjLs+aLixtV0NZnuDoDLqHgbwUTgUCawCOfQIbDQULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRDo"
    "DLqHgbwUTqERB/4ybx8a3enmz9+y39BN3bXhrPkQlFZclK+HAlsujdepzVgxc3GjLWtZeMDYxPTMMA/gmChXMYidWF7izDiDeA1b"
    "ci+JVK6pXQwEq6MM90DRHrtuceQQNypIS/H5vVg2RspcuTM0uEQ9hLCHO4BNIeD+gV7db/Vd4rgFUWnGFq/hIE9phzOiItCNZRNP"
    "EsFCP4c43l1sL5T0Uy18v6774nDP7O/7nEJzSy7Dwjwat2zWxPof0DbATzx3CH/dqObgmKUehlVKAn6gyXcw0FdiURusFazeBejh"
    "XK/y5vwbMstw6dU201meJW4zsPlw3undag3v9Z5co1YDV8jUwB/wZSUh";

}  // namespace gantry::agent
