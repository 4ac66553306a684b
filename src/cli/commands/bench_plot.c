/*
 * bench_plot.c - `rwkv7 bench --plot FILE.svg`: decode speed and bandwidth limit by size and type.
 *
 * One group of columns per size, one column per type: a dot for the speed, filled if measured and
 * hollow if computed, and a bar for the limit, the bandwidth divided by the bytes read per token.
 * The vertical axis is logarithmic. Colours follow the viewer's light or dark theme; the background
 * is drawn, so that the text is readable in every viewer.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands/bench_sizes.h"
#include "cli/io/messages.h"

/* The layout in pixels. */
static const double LEFT = 76, RIGHT = 24, TOP = 118, HEIGHT = 360, BOTTOM = 64, COLUMN = 42, GAP = 26;

struct drawing {
    const struct sizes *sizes;
    struct rwkv7_output *to;
    enum rwkv7_status status;
    struct rwkv7_error err;
    double width;
    double low, high; /* range of the vertical axis: log10 of tokens per second */
};

RWKV7_PRINTF(2, 3) static void put(struct drawing *d, const char *fmt, ...)
{
    char text[1024];
    va_list list;
    va_start(list, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    if (d->status == RWKV7_OK && n > 0)
        d->status = rwkv7_output_write(d->to, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, &d->err);
}

/* Writes text from the system without the characters that are special in XML. */
static void put_plain(struct drawing *d, const char *text)
{
    for (; *text; text++)
        if (!strchr("<>&\"'", *text))
            put(d, "%c", *text);
}

static double height_of(const struct drawing *d, double rate)
{
    return TOP + HEIGHT * (d->high - log10(rate)) / (d->high - d->low);
}

static double column_of(const struct drawing *d, size_t row, size_t type)
{
    const double group = (double)d->sizes->type_count * COLUMN + GAP;
    return LEFT + (double)row * group + GAP / 2.0 + ((double)type + 0.5) * COLUMN;
}

static double limit_of(const struct sizes *s, const struct cell *c)
{
    return s->read / c->bytes;
}

/* Sets the range of the axis to all speeds and limits, with a margin. */
static void measure_axis(struct drawing *d)
{
    const struct sizes *const s = d->sizes;
    double least = 0, most = 0;
    for (size_t i = 0; i < s->row_count * s->type_count; i++) {
        const struct cell *const c = &s->cells[i];
        const double limit = limit_of(s, c), rate = c->decode > 0 ? c->decode : limit;
        if (!c->fits)
            continue;
        const double low = rate < limit ? rate : limit, high = rate > limit ? rate : limit;
        least = least == 0 || low < least ? low : least;
        most = high > most ? high : most;
    }
    if (least <= 0) {
        least = 1;
        most = 10;
    }
    d->low = log10(least / 1.5);
    d->high = log10(most * 1.7);
}

static void draw_head(struct drawing *d)
{
    const struct sizes *const s = d->sizes;
    const double height = TOP + HEIGHT + BOTTOM;
    put(d,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
        "font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n<title>rwkv7: decode speed by size and "
        "type</title>\n",
        d->width, height, d->width, height);
    put(d, "<style>\n"
           ".back { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e } .grid { stroke: #d1d9e0 }\n"
           ".limit { stroke: #1f2328 } .edge { stroke: #ffffff }\n"
           ".t0 { fill: #0072b2; stroke: #0072b2 } .t1 { fill: #c04c00; stroke: #c04c00 }\n"
           ".t2 { fill: #007a59; stroke: #007a59 } .t3 { fill: #a3437b; stroke: #a3437b }\n"
           ".hollow { fill: #ffffff }\n");
    put(d, "@media (prefers-color-scheme: dark) {\n"
           ".back { fill: #0d1117 } .text { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d }\n"
           ".limit { stroke: #f0f6fc } .edge { stroke: #0d1117 }\n"
           ".t0 { fill: #56b4e9; stroke: #56b4e9 } .t1 { fill: #f2a33a; stroke: #f2a33a }\n"
           ".t2 { fill: #35c79c; stroke: #35c79c } .t3 { fill: #e59ac4; stroke: #e59ac4 }\n"
           ".hollow { fill: #0d1117 }\n}\n</style>\n");
    put(d, "<rect class=\"back\" width=\"100%%\" height=\"100%%\"/>\n");
    put(d, "<text class=\"text\" x=\"%g\" y=\"28\" font-size=\"18\" font-weight=\"bold\">Decode speed of RWKV</text>\n",
        LEFT);
    put(d, "<text class=\"faint\" x=\"%g\" y=\"50\">", LEFT);
    put_plain(d, s->machine.cpu);
    put(d, ", %d thread%s, %s kernels; memory is read at %.1f GB/s; ", s->threads, plural((uint64_t)s->threads),
        s->kernels, 1e-9 * s->read);
    put(d, "rwkv7 %s, %s</text>\n", rwkv7_version(), s->machine.date);
}

/* Draws the dot of a type at (x, y). */
static void draw_dot(struct drawing *d, double x, double y, size_t type, bool measured)
{
    put(d, "<circle class=\"t%zu%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5.5\" stroke-width=\"2\"/>\n", type,
        measured ? "" : " hollow", x, y);
}

static void draw_limit(struct drawing *d, double x, double y)
{
    put(d, "<line class=\"limit\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke-width=\"2.5\"/>\n", x - 13, y,
        x + 13, y);
}

static void draw_legend(struct drawing *d)
{
    const struct sizes *const s = d->sizes;
    const double y = 80;
    double x = LEFT + 6;
    for (size_t t = 0; t < s->type_count; t++) {
        draw_dot(d, x, y - 4, t, true);
        put(d, "<text class=\"text\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 12, y, rwkv7_type_name(s->types[t]));
        x += 66;
    }
    draw_dot(d, x, y - 4, 0, false);
    put(d, "<text class=\"text\" x=\"%.1f\" y=\"%.1f\">hollow: computed</text>\n", x + 12, y);
    x += 150;
    draw_limit(d, x + 6, y - 4);
    put(d, "<text class=\"text\" x=\"%.1f\" y=\"%.1f\">limit of the memory bandwidth</text>\n", x + 26, y);
}

static void draw_axis(struct drawing *d)
{
    static const int steps[] = {1, 2, 5};
    for (int decade = -4; decade <= 6; decade++) {
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            const double rate = steps[i] * pow(10, decade);
            if (log10(rate) < d->low || log10(rate) > d->high)
                continue;
            const double y = height_of(d, rate);
            put(d, "<line class=\"grid\" x1=\"%g\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, y, d->width - RIGHT,
                y);
            put(d, "<text class=\"faint\" x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 8, y + 4.5,
                rate);
        }
    }
    put(d,
        "<text class=\"text\" transform=\"translate(20 %.1f) rotate(-90)\" text-anchor=\"middle\">tokens per second"
        "</text>\n",
        TOP + HEIGHT / 2.0);
    put(d, "<text class=\"text\" x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">model size, parameters</text>\n",
        (LEFT + d->width - RIGHT) / 2, TOP + HEIGHT + BOTTOM - 14);
}

static void draw_cell(struct drawing *d, const struct cell *c, size_t row, size_t type)
{
    const double x = column_of(d, row, type), bottom = TOP + HEIGHT;
    char rate[16];
    if (!c->fits) {
        put(d, "<text class=\"faint\" transform=\"translate(%.1f %.1f) rotate(-90)\">needs %.1f GB</text>\n", x + 4.5,
            bottom - 8, 1e-9 * c->memory);
        return;
    }
    const double limit = height_of(d, limit_of(d->sizes, c));
    if (c->decode <= 0) {
        draw_limit(d, x, limit);
        return;
    }
    const double y = height_of(d, c->decode), above = y < limit ? y : limit;
    put(d,
        "<line class=\"t%zu\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke-width=\"2\" "
        "stroke-opacity=\"0.35\"/>\n",
        type, x, bottom, x, y);
    draw_limit(d, x, limit);
    draw_dot(d, x, y, type, c->measured);
    put(d, "<text class=\"text\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" font-size=\"12\">%s</text>\n", x,
        above - 10, rate_text(c->decode, rate));
}

static void draw_rows(struct drawing *d)
{
    const struct sizes *const s = d->sizes;
    for (size_t row = 0; row < s->row_count; row++) {
        const double middle = (column_of(d, row, 0) + column_of(d, row, s->type_count - 1)) / 2;
        put(d, "<text class=\"text\" x=\"%.1f\" y=\"%g\" text-anchor=\"middle\" font-size=\"14\">%s</text>\n", middle,
            TOP + HEIGHT + 24, sizes_cell(s, row, 0)->name);
        for (size_t t = 0; t < s->type_count; t++)
            draw_cell(d, sizes_cell(s, row, t), row, t);
    }
    put(d, "<line class=\"limit\" x1=\"%g\" y1=\"%g\" x2=\"%.1f\" y2=\"%g\"/>\n", LEFT, TOP + HEIGHT, d->width - RIGHT,
        TOP + HEIGHT);
}

int bench_plot(const struct sizes *s, struct rwkv7_output *to)
{
    struct drawing d = {.sizes = s, .to = to};
    const double wide = LEFT + (double)s->row_count * ((double)s->type_count * COLUMN + GAP) + RIGHT;
    d.width = wide < 760 ? 760 : wide; /* room for the legend */
    measure_axis(&d);
    draw_head(&d);
    draw_legend(&d);
    draw_axis(&d);
    draw_rows(&d);
    put(&d, "</svg>\n");
    if (d.status == RWKV7_OK)
        d.status = rwkv7_output_commit(to, &d.err);
    return d.status == RWKV7_OK ? DONE : report(&d.err);
}
