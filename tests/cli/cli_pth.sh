# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# PyTorch checkpoints: their tensors, and files of torch.save if PyTorch is installed.

corpus=$tests/../corpus/pth

run rwkv7 info --tensors "$corpus/ok_torch.pth"
exits 0
silent
out '? emb   BF16 [2,2]
? head  BF16 [2]
2 tensors, PyTorch; ? marks 2 that no RWKV model has'

run rwkv7 info --tensors --json "$corpus/ok_torch.pth"
exits 0
out_has '"container":	"PyTorch"'
out_has '"shape":	\[2, 2\]'
out_has '"belongs":	false'

run rwkv7 info --tensors "$models/f32_n16.safetensors"
exits 0
out_has '^  blocks\.0\.att\.x_r +F32  \[1,1,48\]$'
out_has '^135 tensors, safetensors$'
run rwkv7 info --tensors "$models/bf16_fla_fused.safetensors"
exits 0
out_has '^[1-9][0-9]* tensors, safetensors$'

run rwkv7 info --tensors "$models/f32_n16.state.safetensors"
exits 0
out_has '^4 tensors, safetensors$'

run rwkv7 info --tensors missing.pth
exits 1
run rwkv7 info --tensors "$corpus/pickle_os_system.pth"
exits 3
err_has "global 'os.system' is not allowed in a checkpoint"

# Written by the author of RWKV: two layers of RWKV-7 beside an experiment.
real=$shared/vectors/reverse/260123_reverse_L2_only_rwkv7.pth
if [ -r "$real" ]; then
    run rwkv7 info "$real"
    exits 3
    err_has 'RWKV-8 experiment'
    out_has '^tensors +99, 99 of them unknown:$'
    out_has '^  rosa1\.rosa_qkv\.emb +F32  \[1,1,32\]$'
else
    echo "skip $real: not on this machine"
fi

python=
for candidate in python3 /usr/bin/python3; do
    if [ -z "$python" ] && "$candidate" -c 'import torch' 2>/dev/null; then python=$candidate; fi
done
if [ -z "$python" ]; then
    echo 'skip torch.save: there is no Python with torch'
else
    for model in f32_n16 bf16_n64 f16_n128; do
        "$python" "$tests/save_pth.py" "$models/$model.safetensors" . || exit 1
        run rwkv7 logits "$models/$model.safetensors" --tokens 1,2,3,5,8,13,21,34,0,7 -o expected.npy
        exits 0
        for file in ordered plain module parameters one_storage reversed transposed strided nested number training lightning; do
            run rwkv7 logits "$file.pth" --tokens 1,2,3,5,8,13,21,34,0,7 -o found.npy
            exits 0
            ok "the logits of $file.pth" cmp -s expected.npy found.npy
        done
    done
    for case in 'legacy before.2020' "object global.'re._compile'.is.not.allowed" \
        'whole found.an.object..torch.nn.modules.linear.Linear.'; do
        run rwkv7 info "${case%% *}.pth"
        exits 3
        err_has "${case#* }"
    done
fi
